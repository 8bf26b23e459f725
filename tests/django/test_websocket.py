"""The app given as ``websocket``: its connections, its lifespan, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.conftest import Site
from tests.django.conftest import TARGET, Projects
from tests.harness.servers import ROOT, ServerFailed, serve


def say(site: Site, text: str, path: str = "/ws") -> str:
    with connect(f"ws://127.0.0.1:{site.port}{path}", open_timeout=30) as socket:
        socket.send(text)
        return str(socket.recv(timeout=30))


def test_websockets_go_to_their_app_with_its_state(site: Site) -> None:
    assert say(site, "ahoy") == "high: ahoy"


def test_without_an_app_they_are_refused_and_the_log_says_why(project: Projects) -> None:
    site = project()

    with pytest.raises(InvalidStatus) as refused:
        say(site, "ahoy")

    assert refused.value.response.status_code == 403
    site.server.wait_for_log("refused the WebSocket /ws: get_asgi_application() was given no")


def test_the_lifespan_of_the_app_runs_once(tmp_path: Any) -> None:
    options = {"BRIDGE_TEST_DJANGO_OPTIONS": '{"websocket": true}'}
    with serve("uvicorn-httptools", TARGET, env=options, log_dir=tmp_path) as server:
        server.terminate()
        log = server.log()

    assert log.count("websocket app: startup") == log.count("websocket app: shutdown") == 1


def test_a_startup_that_fails_ends_the_server_with_the_reason() -> None:
    env = {"BRIDGE_TEST_DJANGO_OPTIONS": '{"websocket": true}', "BRIDGE_TEST_FAILS": "startup"}

    with pytest.raises(ServerFailed, match="no tide today"), serve("uvicorn-h11", TARGET, env=env):
        pass


def test_a_server_without_lifespan_starts_the_app_with_the_first_websocket(
    project: Projects,
) -> None:
    site = project(options={"websocket": True}, server="daphne")

    assert say(site, "one") == "high: one"
    assert say(site, "two") == "high: two"
    assert site.server.log().count("websocket app: startup") == 1


CALLS = {
    "websocket=[1]": "channels.routing.URLRouter",
    "websocket=wsgi": "knows no WebSockets",
    "websocket=42": "an ASGI app",
    "websocket='nowhere.at.all'": "No module named 'nowhere'",
    "websocket='json.nothing'": 'does not define a "nothing"',
    "websocket='application'": "package.module.name",
    "lifespan='never'": "'auto', 'on', 'off'",
    "startup_timeout_s=0": "a number above 0",
    "threads=0": "an int of 1 or more",
}


@pytest.fixture(scope="module")
def complaints() -> dict[str, str]:
    """What each wrong call raises, in a process of its own: Django's settings are for good."""
    script = f"""
from django.conf import settings
settings.configure(SECRET_KEY="x")
from bridge.contrib.django import get_asgi_application
def wsgi(environ, start_response): ...
for call in {list(CALLS)!r}:
    try:
        eval(f"get_asgi_application({{call}})")
    except ValueError as error:
        print(call, type(error).__name__, " ".join(str(error).split()), sep="|")
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    lines = (line.split("|", 1) for line in done.stdout.splitlines())
    return dict((call, rest) for call, rest in lines)  # noqa: C402


@pytest.mark.parametrize("call", CALLS)
def test_a_wrong_option_is_named_with_what_it_takes(complaints: dict[str, str], call: str) -> None:
    assert complaints[call].startswith("ConfigError|")
    assert call.split("=")[0] in complaints[call]
    assert CALLS[call] in complaints[call]


def test_several_apps_share_the_websockets_by_prefix(project: Projects) -> None:
    site = project(options={"websocket": "mapping"})

    assert say(site, "ahoy", "/ws/tide") == "high: ahoy"
    with pytest.raises(InvalidStatus) as refused:
        say(site, "ahoy", "/elsewhere")
    assert refused.value.response.status_code in (403, 404)


def test_an_app_given_by_its_path_is_imported_when_models_can_be(project: Projects) -> None:
    site = project(options={"websocket": "path"})

    assert say(site, "ahoy") == "User: ahoy"
