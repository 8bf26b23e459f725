"""The app passed as ``websocket``: its connections, its lifespan, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.conftest import LiveServer
from tests.django.conftest import TARGET, Projects
from tests.django.test_decision import ask
from tests.harness.servers import ROOT, ServerFailed, serve

UPGRADE = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
)


def exchange(site: LiveServer, text: str, path: str = "/ws") -> str:
    """Send a text, and return the answer."""
    with connect(f"ws://127.0.0.1:{site.port}{path}", open_timeout=30) as socket:
        socket.send(text)
        return str(socket.recv(timeout=30))


def test_websockets_reach_their_app_with_its_state(site: LiveServer) -> None:
    assert exchange(site, "ahoy") == "high: ahoy"


def test_without_an_app_they_are_refused_with_a_log_line(project: Projects) -> None:
    site = project()

    with pytest.raises(InvalidStatus) as refused:
        exchange(site, "ahoy")

    assert refused.value.response.status_code == 403
    log = site.server.wait_for_log("refused the WebSocket /ws: ")
    assert "Pass one with get_asgi_application(websocket=app)" in log


@pytest.mark.parametrize("name", ["uvicorn-httptools", "daphne"])
def test_the_lifespan_of_the_app_runs_once(name: str, tmp_path: Any) -> None:
    """Also on servers that send no lifespan: there the first request starts it."""
    options = {"BRIDGE_TEST_DJANGO_OPTIONS": '{"websocket": true}'}
    with serve(name, TARGET, env=options, log_dir=tmp_path) as server:
        server.terminate()
        log = server.log()

    assert log.count("websocket app: startup") == log.count("websocket app: shutdown") == 1


@pytest.mark.parametrize("target", [TARGET, "tests.django.mounted:app"])
def test_a_wsgi_server_starts_and_serves_the_app(target: str, tmp_path: Any) -> None:
    options = {"BRIDGE_TEST_DJANGO_OPTIONS": '{"websocket": true}'}
    with serve("gunicorn-gthread", target, env=options, log_dir=tmp_path) as server:
        path = "/ws" if target == TARGET else "/shop/ws"
        assert exchange(LiveServer.of(server), "ahoy", path) == "high: ahoy"
        server.terminate()
        log = server.log()

    assert log.count("websocket app: startup") == log.count("websocket app: shutdown") == 1


def test_on_a_wsgi_server_an_option_refuses_websockets(project: Projects) -> None:
    site = project(options={"websocket": True, "websockets": "off"}, server="gunicorn-gthread")

    with pytest.raises(InvalidStatus) as refused:
        exchange(site, "ahoy")

    assert refused.value.response.status_code == 426


def test_on_a_wsgi_server_without_an_app_django_gets_the_upgrade_request(
    project: Projects,
) -> None:
    site = project(server="gunicorn-gthread")

    assert ask(site, "/sync/", *UPGRADE)["kind"] == "sync"


def test_bridge_routes_shows_the_project_and_the_app() -> None:
    command = [sys.executable, "-m", "bridge", "routes", TARGET]
    env = {**os.environ, "BRIDGE_TEST_DJANGO_OPTIONS": '{"websocket": true}'}

    ran = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=True
    )

    assert [line.split()[1:3] for line in ran.stdout.splitlines()[1:]] == [
        ["HTTP", TARGET],
        ["WebSocket", "tests.django.project:websocket"],
    ]
    assert ran.stdout.rstrip().endswith("AsgiToWsgi")


def test_a_failed_startup_ends_the_server_with_the_reason() -> None:
    env = {"BRIDGE_TEST_DJANGO_OPTIONS": '{"websocket": true}', "BRIDGE_TEST_FAILS": "startup"}

    with (
        pytest.raises(ServerFailed, match=r"the app mounted at '/': startup of .*: no tide today"),
        serve("uvicorn-h11", TARGET, env=env),
    ):
        pass


def test_websockets_of_a_server_without_lifespan_share_one_startup(
    project: Projects,
) -> None:
    site = project(options={"websocket": True}, server="daphne")

    assert exchange(site, "one") == "high: one"
    assert exchange(site, "two") == "high: two"
    assert site.server.log().count("websocket app: startup") == 1


CLOSED_LOOPS = """
import asyncio
from tests.django.project import app
from tests.harness.asgi import call_async, http_scope
for _ in range(2):
    loop = asyncio.new_event_loop()
    print(loop.run_until_complete(call_async(app, http_scope(path="/sync/"))).status)
    loop.close()
"""


def test_without_an_app_closed_loops_leave_nothing_to_shut_down() -> None:
    """Django's worker threads belong to no loop: they serve the next one, and end on exit."""
    ran = subprocess.run(
        [sys.executable, "-c", CLOSED_LOOPS], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert ran.stdout.split() == ["200", "200"]
    assert "could not shut down" not in ran.stderr


CALLS = {
    "websocket=[1]": "channels.routing.URLRouter",
    "websocket=wsgi": "WSGI has no WebSockets",
    "websocket=42": "an ASGI app",
    "websocket='nowhere.at.all'": "No module named 'nowhere'",
    "websocket='json.nothing'": 'does not define a "nothing"',
    "websocket='application'": "package.module.name",
    "lifespan='never'": "'auto', 'on', 'off'",
    "startup_timeout_s=0": "a number above 0",
    "threads=0": "an int of 1 or more",
    "thread=4": "Did you mean 'threads'?",
    "websocket_origin=[]": "Did you mean 'websocket_origins'?",
    "task_timeout_s=1": "It is an option of to_wsgi.",
}


@pytest.fixture(scope="module")
def errors() -> dict[str, str]:
    """What each wrong call raises, in a new process: Django is configured once in each."""
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
def test_a_wrong_option_is_named_with_the_allowed_values(errors: dict[str, str], call: str) -> None:
    assert errors[call].startswith("ConfigError|")
    assert call.split("=")[0] in errors[call]
    assert CALLS[call] in errors[call]


def test_websockets_reach_the_app_of_their_prefix(project: Projects) -> None:
    site = project(options={"websocket": "mapping"})

    assert exchange(site, "ahoy", "/ws/tide") == "high: ahoy"
    with pytest.raises(InvalidStatus) as refused:
        exchange(site, "ahoy", "/elsewhere")
    assert refused.value.response.status_code in (403, 404)


def test_an_app_is_imported_by_its_path_once_models_can_be(project: Projects) -> None:
    site = project(options={"websocket": "path"})

    assert exchange(site, "ahoy") == "User: ahoy"
