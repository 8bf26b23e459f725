"""`bridge run` with several apps, or with a Router."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from websockets.sync.client import connect

from bridge.cli.options import RunOptions
from bridge.cli.run import run
from bridge.cli.targets import parse_targets
from bridge.errors import BridgeError
from tests.cli.running import TIMEOUT_S, facts, running, stop
from tests.harness.control import Control
from tests.harness.servers import Server

SEVERAL = ("/api=fastapi_site:app", "--websocket", "/ws=mixed_site:chat")
WITH_WEBSOCKETS = ["uvicorn", "granian", "daphne", "gunicorn"]


def chat(server: Server, path: str) -> str:
    url = f"ws://127.0.0.1:{server.port}{path}"
    with connect(url, proxy=None, open_timeout=TIMEOUT_S) as socket:
        return str(socket.recv(TIMEOUT_S))


@pytest.mark.parametrize("server", WITH_WEBSOCKETS)
def test_several_apps_are_served_together(server: str, control: Control, key: str) -> None:
    with running(server, "/=flask_site:app", *SEVERAL, env={"CALLS": key}) as site:
        assert facts(site)["framework"] == "flask"
        reported = facts(site, "/api/")
        assert (reported["framework"], reported["root_path"]) == ("fastapi", "/api")
        assert reported["resource"] == "made at startup"
        assert chat(site, "/ws/room") == "chat at /ws"
        assert stop(site, signal.SIGTERM) == 0
    for phase in ("startup", "shutdown"):
        assert [report["pid"] for report in control.expect(key, phase)] == [reported["pid"]]


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn"])
def test_the_root_path_is_prepended_to_all_prefixes(server: str) -> None:
    args = (*SEVERAL, "--root-path", "/proxy", "--threads", "3")
    with running(server, "/=flask_site:app", *args) as site:
        assert facts(site)["root_path"] == "/proxy"
        assert facts(site, "/proxy/api/")["root_path"] == "/proxy/api"
        log = site.log()

    assert "bridge: /: flask_site:app  flask_site.py  WSGI" in log
    assert "bridge: /api: fastapi_site:app  fastapi_site.py  ASGI" in log
    assert "bridge: /ws (WebSocket): mixed_site:chat  mixed_site.py  ASGI" in log
    assert "bridge: adapter: bridge.Router" in log
    assert "no WebSockets" not in log
    assert "bridge: threads: 3" + (", for the WSGI apps" if server == "uvicorn" else "") in log


@pytest.mark.parametrize("server", ["hypercorn", "waitress"])
def test_a_router_made_by_the_user_is_served_unchanged(
    server: str, control: Control, key: str
) -> None:
    with running(server, "mixed_site:app", env={"CALLS": key}) as site:
        assert "bridge: adapter: none: the app supports both interfaces" in site.log()
        reported = facts(site, "/v1/api/")
        assert (reported["root_path"], reported["resource"]) == ("/v1/api", "made at startup")
        assert facts(site)["framework"] == "flask"
        assert stop(site, signal.SIGTERM) == 0
    for phase in ("startup", "shutdown"):
        assert [report["pid"] for report in control.expect(key, phase)] == [reported["pid"]]


def test_an_interface_can_be_given_for_one_of_several() -> None:
    args = ("/flask=mixed_site:unclear", "--interface", "/flask=wsgi")
    with running("uvicorn", "/=fastapi_site:app", *args) as site:
        assert facts(site, "/flask/")["framework"] == "flask"
        assert "mixed_site:unclear  mixed_site.py  WSGI (from --interface)" in site.log()


CHANGING = (
    "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'{}']\n"
)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("flask_site:app", "fastapi_site:app"), "/=flask_site:app /api=fastapi_site:app"),
        (
            ("/a=flask_site:app", "/a/=fastapi_site:app"),
            "fastapi_site:app cannot both be mounted at /a.",
        ),
        (("flask_site:app", "--websocket", "/ws=flask_site:app"), "an ASGI app: WSGI has no"),
        (("flask_site:app", "/x=mixed_site:unclear"), "choose with --interface /x=wsgi or /x="),
        (("/a=fastapi_site:app", "/b=fastapi_site:app", "--threads", "2"), "all of these are ASGI"),
        (
            ("mixed_site:app", "--threads", "2"),
            "mixed_site:app is a Router, which sets the number itself: Router(..., threads=8)",
        ),
        (
            ("mixed_site:app", "--body-timeout-s", "2"),
            "mixed_site:app is a Router, which sets it itself: Router(..., body_timeout_s=60)",
        ),
        (
            ("mixed_site:app", "--wait-target-s", "2"),
            "mixed_site:app is a Router, which sets it itself: Router(..., wait_target_s=0.1)",
        ),
        (
            ("mixed_site:app", "--queue-timeout-s", "2"),
            "mixed_site:app is a Router, which sets it itself: Router(..., queue_timeout_s=30)",
        ),
        (
            ("mixed_site:app", "--request-timeout-s", "2"),
            "--request-timeout-s: mixed_site:app is a Router, which sets it itself: pass "
            "request_timeout_s there",
        ),
        (
            ("fastapi_site:app", "--request-timeout-s", "2"),
            "--request-timeout-s: uvicorn calls the app itself, without an adapter. It is for WSGI "
            "apps here, and for these apps on other servers: gunicorn, waitress",
        ),
        (
            ("mixed_site:app", "--loop-lag-target-s", "2"),
            "which sets it itself: Router(..., loop_lag_target_s=0.02)",
        ),
        (("flask_site:app", "/api=nowhere:app"), "cannot load 'nowhere:app': there is no module"),
        ((), "no app given. Pass a target, for example main:app"),
    ],
)
def test_apps_that_cannot_be_served_together_are_rejected(
    args: tuple[str, ...], message: str, here: None
) -> None:
    with pytest.raises(BridgeError) as raised:
        run(_options(args), "uvicorn")

    assert message in str(raised.value)


def _options(args: tuple[str, ...]) -> RunOptions:
    """Parse the few options that are used here."""
    limits = ("--queue-timeout-s", "--request-timeout-s", "--loop-lag-target-s")
    numbers = ("--threads", "--body-timeout-s", "--wait-target-s", *limits)
    names = ("--websocket", "--interface", *numbers, "")
    words: dict[str, list[str]] = {name: [] for name in names}
    option = ""
    for word in args:
        if word in words:
            option = word
        else:
            words[option].append(word)
            option = ""
    threads, timeout_s, target_s, queue_s, request_s, lag_s = (
        float(words[name][0]) if words[name] else None for name in numbers
    )
    apps = parse_targets(words[""], words["--websocket"], words["--interface"])
    return RunOptions(
        apps=apps,
        port=0,
        threads=None if threads is None else int(threads),
        body_timeout_s=timeout_s,
        wait_target_s=target_s,
        queue_timeout_s=queue_s,
        request_timeout_s=request_s,
        loop_lag_target_s=lag_s,
    )


def test_reload_watches_the_folders_of_all(tmp_path: Path) -> None:
    for name in ("one", "two", "here"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.py").write_text(CHANGING.format(json.dumps(1)))
    targets = (f"/={tmp_path}/one/one.py:app", f"/two={tmp_path}/two/two.py:app")
    with running("uvicorn", *targets, "--reload", cwd=tmp_path / "here") as site:
        watching = site.wait_for_log("Will watch for changes in these directories")

    assert f"'{tmp_path}/one'" in watching
    assert f"'{tmp_path}/two'" in watching
