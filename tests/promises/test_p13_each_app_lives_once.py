"""P13: each mounted app's startup and shutdown run once in each process, in order, and back; its
state is its own; a failure stops the boot, by name.

Also on servers that send no lifespan: daphne, granian's ``asginl``, and all of WSGI.

Seen at starlette #649, fastapi #811, fastmcp #1176: nobody runs the lifespans of mounted apps.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.harness.servers import SERVERS, Server, ServerFailed, ServerSpec, serve

APP = "tests.apps.router_lives:app"
SINGLE = "tests.apps.router_lives:single"
TIMEOUT_S = 30.0


def _granian_without_lifespan() -> ServerSpec:
    spec = SERVERS["granian"]

    def command(at: object, target: str) -> list[str]:
        return ["asginl" if part == "asgi" else part for part in spec.command(at, target)]  # type: ignore[arg-type]  # handed on

    return replace(spec, name="granian-asginl", command=command)


HOOKS = ("--config", "python:bridge.contrib.gunicorn")
GTHREAD = SERVERS["gunicorn-gthread"]
TWO_PRELOADED = ("--preload", "--workers", "2")

CASES = {
    "uvicorn": (SERVERS["uvicorn-uvloop"], (), 1),
    "hypercorn": (SERVERS["hypercorn"], (), 1),
    "granian": (SERVERS["granian"], (), 1),
    "gunicorn-asgi": (SERVERS["gunicorn-asgi"], (), 1),
    "daphne": (SERVERS["daphne"], (), 1),
    "granian-asginl": (_granian_without_lifespan(), (), 1),
    "gunicorn-asgi-off": (SERVERS["gunicorn-asgi"], ("--asgi-lifespan", "off"), 1),
    "gunicorn-asgi-hooks": (SERVERS["gunicorn-asgi"], HOOKS, 1),
    "gthread": (GTHREAD, (), 1),
    "gthread-hooks-preload": (GTHREAD, (*HOOKS, *TWO_PRELOADED), 2),
}


def lives(log: str) -> dict[str, list[str]]:
    """What each process said, in order."""
    found: dict[str, list[str]] = {}
    for name, what, pid in re.findall(r"life of (\w+): (\w+), pid (\d+)", log):
        found.setdefault(pid, []).append(f"{name} {what}")
    return found


def ask(server: Server) -> None:
    """Some requests, to all apps."""
    with httpx.Client(base_url=server.url, timeout=TIMEOUT_S) as client:
        for _ in range(3):
            assert client.get("/").text == "site at "
            for name in ("one", "two"):
                answer = client.get(f"/{name}/").json()
                assert answer == {"root_path": f"/{name}", "state": {name: "up"}}


@pytest.mark.parametrize("case", CASES)
def test_each_app_lives_once_in_each_process(case: str, tmp_path: Path) -> None:
    spec, args, processes = CASES[case]
    with serve(spec, APP, args=args, log_dir=tmp_path) as server:
        ask(server)
        if processes > 1:  # each starts with its boot here
            server.wait_for_log("life of two: up", times=processes)
        server.terminate()
        log = server.log()

    expected = ["one up", "two up", "two down", "one down"]
    assert list(lives(log).values()) == [expected] * processes


@pytest.mark.parametrize("case", ["uvicorn", "daphne", "gthread"])
def test_a_universal_app_lives_once_too(case: str, tmp_path: Path) -> None:
    spec, args, _ = CASES[case]
    with serve(spec, SINGLE, args=args, log_dir=tmp_path) as server:
        answer = httpx.get(f"{server.url}/", timeout=TIMEOUT_S)
        server.terminate()
        log = server.log()

    assert answer.json() == {"root_path": "", "state": {"one": "up"}}
    assert list(lives(log).values()) == [["one up", "one down"]]


FAILS = ("BRIDGE_TEST_FAILS", "RuntimeError: two has no database")
HANGS = ("BRIDGE_TEST_HANGS", "startup_timeout_s=2")


@pytest.mark.parametrize(
    ("case", "variable", "says"),
    [
        ("uvicorn", *FAILS),
        ("hypercorn", *FAILS),
        ("granian", *FAILS),
        ("gunicorn-asgi", *FAILS),
        ("gthread-hooks-preload", *FAILS),
        ("uvicorn", *HANGS),
        ("gthread-hooks-preload", *HANGS),
    ],
)
def test_an_app_that_does_not_start_stops_the_boot_by_name(
    case: str, variable: str, says: str, tmp_path: Path
) -> None:
    spec, args, _ = CASES[case]
    env = {variable: "two"}
    with pytest.raises(ServerFailed):
        _serve_to_the_end(spec, env, args, tmp_path)

    log = (tmp_path / f"{spec.name}.log").read_text()
    assert "the app mounted at '/two': startup of starlette.applications.Starlette " in log
    assert says in log
    for said in lives(log).values():
        assert said == ["one up", "one down"]


def _serve_to_the_end(
    spec: ServerSpec, env: dict[str, str], args: tuple[str, ...], log_dir: Path
) -> None:
    with serve(spec, APP, env=env, args=args, log_dir=log_dir, ready_path="/never") as server:
        server.process.wait(TIMEOUT_S)
        raise ServerFailed("it listened for a moment, and gave up")  # gunicorn binds first


@pytest.mark.parametrize("case", ["daphne", "gthread"])
def test_without_a_boot_to_stop_every_request_says_it(case: str, tmp_path: Path) -> None:
    spec, args, _ = CASES[case]
    env = {"BRIDGE_TEST_FAILS": "two"}
    with serve(spec, APP, env=env, args=args, log_dir=tmp_path) as server:
        answers = [httpx.get(f"{server.url}{path}", timeout=TIMEOUT_S) for path in ("/", "/one/")]
        log = server.wait_for_log("two has no database")

    assert [answer.status_code for answer in answers] == [500, 500]
    assert "the app mounted at '/two': startup of starlette.applications.Starlette failed" in log
