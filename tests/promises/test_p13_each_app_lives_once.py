"""P13: the startup and shutdown of each mounted app run once in each process, shutdowns in reverse
order; its state is separate; a failure stops the server and names the app.

Also on servers that send no lifespan: daphne, granian's ``asginl``, and all WSGI servers.

Reported as starlette #649, fastapi #811, fastmcp #1176: frameworks do not run the lifespans of
mounted apps.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.harness.servers import SERVERS, Server, ServerFailed, ServerSpec, serve

APP = "tests.apps.router_lifespans:app"
SINGLE = "tests.apps.router_lifespans:single"
BESIDE_ADAPTERS = "tests.apps.router_and_adapter"
TIMEOUT_S = 30.0


def _granian_without_lifespan() -> ServerSpec:
    spec = SERVERS["granian"]

    def command(at: object, target: str) -> list[str]:
        return ["asginl" if part == "asgi" else part for part in spec.command(at, target)]  # type: ignore[arg-type]  # passed on

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
    """The lines of each process, in order."""
    found: dict[str, list[str]] = {}
    for name, what, pid in re.findall(r"lifespan of (\w+): (\w+), pid (\d+)", log):
        found.setdefault(pid, []).append(f"{name} {what}")
    return found


def ask(server: Server) -> None:
    """Send requests to all apps."""
    with httpx.Client(base_url=server.url, timeout=TIMEOUT_S) as client:
        for _ in range(3):
            assert client.get("/").text == "site at "
            for name in ("one", "two"):
                answer = client.get(f"/{name}/").json()
                assert answer == {"root_path": f"/{name}", "state": {name: "up"}}


@pytest.mark.parametrize("case", CASES)
def test_each_lifespan_runs_once_in_each_process(case: str, tmp_path: Path) -> None:
    spec, args, processes = CASES[case]
    with serve(spec, APP, args=args, log_dir=tmp_path) as server:
        ask(server)
        if processes > 1:  # here the hooks start it at boot
            server.wait_for_log("lifespan of two: up", times=processes)
        server.terminate()
        log = server.log()

    expected = ["one up", "two up", "two down", "one down"]
    assert list(lives(log).values()) == [expected] * processes


@pytest.mark.parametrize("case", CASES)
def test_an_app_that_is_mounted_and_adapted_in_one_module_starts_once(
    case: str, tmp_path: Path
) -> None:
    spec, args, processes = CASES[case]
    with serve(spec, f"{BESIDE_ADAPTERS}:app", args=args, log_dir=tmp_path) as server:
        ask(server)
        if processes > 1:
            server.wait_for_log("lifespan of two: up", times=processes)
        server.terminate()
        log = server.log()

    expected = ["one up", "two up", "two down", "one down"]
    assert list(lives(log).values()) == [expected] * processes


def test_an_adapter_that_is_served_starts_instead_of_a_router_beside_it(tmp_path: Path) -> None:
    spec, args, processes = CASES["gthread-hooks-preload"]
    with serve(spec, f"{BESIDE_ADAPTERS}:adapted", args=args, log_dir=tmp_path) as server:
        server.wait_for_log("lifespan of one: up", times=processes)
        answer = httpx.get(f"{server.url}/", timeout=TIMEOUT_S)
        server.terminate()
        log = server.log()

    assert answer.json()["state"] == {"one": "up"}
    assert [[line for line in each if line.startswith("one")] for each in lives(log).values()] == [
        ["one up", "one down"]
    ] * processes


@pytest.mark.parametrize("case", ["uvicorn", "daphne", "gthread"])
def test_the_lifespan_of_a_universal_app_runs_once(case: str, tmp_path: Path) -> None:
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
    ("case", "variable", "reason"),
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
def test_a_failed_startup_stops_the_server_and_names_the_app(
    case: str, variable: str, reason: str, tmp_path: Path
) -> None:
    spec, args, _ = CASES[case]
    env = {variable: "two"}
    with pytest.raises(ServerFailed):
        _serve_to_the_end(spec, env, args, tmp_path)

    log = (tmp_path / f"{spec.name}.log").read_text()
    assert "the app mounted at '/two': startup of starlette.applications.Starlette " in log
    assert reason in log
    for lines in lives(log).values():
        assert lines == ["one up", "one down"]


@pytest.mark.parametrize("case", ["uvicorn", "hypercorn", "granian"])
@pytest.mark.parametrize("target", [APP, SINGLE])
def test_a_failed_startup_is_logged_once(case: str, target: str, tmp_path: Path) -> None:
    spec, args, _ = CASES[case]
    name = "two" if target == APP else "one"
    with pytest.raises(ServerFailed):
        _serve_to_the_end(spec, {"BRIDGE_TEST_FAILS": name}, args, tmp_path, target)

    log = (tmp_path / f"{spec.name}.log").read_text()
    assert log.count(": startup of starlette.applications.Starlette failed: ") == 1, log
    assert log.count('raise RuntimeError(f"{name} has no database")') == 1, log


@pytest.mark.parametrize("case", ["uvicorn", "hypercorn", "granian"])
@pytest.mark.parametrize("target", [APP, SINGLE])
def test_a_failed_shutdown_is_logged_once(case: str, target: str, tmp_path: Path) -> None:
    spec, args, _ = CASES[case]
    name = "two" if target == APP else "one"
    env = {"BRIDGE_TEST_FAILS_TO_STOP": name}
    with serve(spec, target, env=env, args=args, log_dir=tmp_path) as server:
        server.terminate()
        log = server.log()

    assert log.count(": shutdown of starlette.applications.Starlette failed: ") == 1, log
    assert log.count('raise RuntimeError(f"{name} cannot stop")') == 1, log


def _serve_to_the_end(
    spec: ServerSpec,
    env: dict[str, str],
    args: tuple[str, ...],
    log_dir: Path,
    target: str = APP,
) -> None:
    with serve(spec, target, env=env, args=args, log_dir=log_dir, ready_path="/never") as server:
        server.process.wait(TIMEOUT_S)
        raise ServerFailed("it listened for a moment")  # gunicorn binds first


@pytest.mark.parametrize("case", ["daphne", "gthread"])
def test_without_hooks_a_failed_startup_fails_every_request(case: str, tmp_path: Path) -> None:
    spec, args, _ = CASES[case]
    env = {"BRIDGE_TEST_FAILS": "two"}
    with serve(spec, APP, env=env, args=args, log_dir=tmp_path) as server:
        answers = [httpx.get(f"{server.url}{path}", timeout=TIMEOUT_S) for path in ("/", "/one/")]
        log = server.wait_for_log("two has no database")

    assert [answer.status_code for answer in answers] == [500, 500]
    assert "the app mounted at '/two': startup of starlette.applications.Starlette failed" in log
