"""Every framework mounted in one Router, over HTTP and WebSocket, on every server.

The app is always the same object: each server detects how to call it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.apps.django_user import PASSWORD, USER
from tests.conftest import Servers
from tests.harness.servers import ROOT, SERVERS, Server

SITE = "tests.apps.router_site:app"
TIMEOUT_S = 30.0

NAMES = ["uvicorn-uvloop", "hypercorn", "daphne", "granian", "gunicorn-asgi"]
WSGI_NAMES = ["gunicorn-gthread", "gunicorn-sync", "waitress"]

BUILDS_PATHS = {  # prefix -> its answer
    "/flask": "Hello from Flask at /flask/hello",
    "/nested/flask": "Hello from Flask at /nested/flask/hello",
    "/django": "Hello from Django at /django/hello",
    "/channels": "Hello from Django at /channels/hello",
    "/falcon": "Hello from Falcon at /falcon/hello",
    "/sanic": "hello from Sanic",
}
BUILDS_URLS = [
    "/fastapi",
    "/nested/fastapi",
    "/starlette",
    "/starlette/in/api",  # FastAPI in a Router in Starlette's Mount in a Router
    "/quart",
    "/falcon-asgi",
]
SOCKETS = {  # prefix -> the framework that answers its WebSocket
    "/fastapi": "fastapi",
    "/nested/fastapi": "fastapi",
    "/starlette": "starlette",
    "/starlette/in/api": "fastapi",
    "/quart": "quart",
    "/falcon-asgi": "falcon",
    "/sanic": "sanic",
    "/channels": "channels",
}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database with Django's tables and one superuser."""
    path = tmp_path_factory.mktemp("django") / "db.sqlite3"
    env = {**os.environ, "BRIDGE_TEST_DATABASE": str(path)}
    command = [sys.executable, "-m", "tests.apps.wsgi_django"]
    subprocess.run(command, env=env, cwd=ROOT, check=True, timeout=60)
    return path


@pytest.fixture(scope="module", params=[*NAMES, *WSGI_NAMES])
def server(request: pytest.FixtureRequest, servers: Servers, database: Path) -> Server:
    """The site, on each server in turn."""
    return servers.get(request.param, SITE, env={"BRIDGE_TEST_DATABASE": str(database)})


@pytest.fixture
def browser(server: Server) -> Iterator[httpx.Client]:
    """A client with cookies, which follows redirects."""
    with httpx.Client(base_url=server.url, timeout=TIMEOUT_S, follow_redirects=True) as client:
        yield client


def is_asgi(server: Server) -> bool:
    return server.spec.kind == "asgi"


def test_each_framework_sees_where_it_is_mounted(browser: httpx.Client) -> None:
    answers = {prefix: browser.get(f"{prefix}/hello").text for prefix in BUILDS_PATHS}

    assert answers == BUILDS_PATHS


def test_each_framework_builds_urls_below_its_prefix(server: Server, browser: httpx.Client) -> None:
    answers = {prefix: browser.get(f"{prefix}/hello").text.strip('"') for prefix in BUILDS_URLS}

    assert answers == {prefix: f"{server.url}{prefix}/hello" for prefix in BUILDS_URLS}


def test_a_frameworks_own_redirects_stay_below_its_prefix(
    server: Server, browser: httpx.Client
) -> None:
    answer = browser.get("/fastapi/slash")  # FastAPI adds the slash

    assert [each.status_code for each in answer.history] == [307]
    assert answer.json() == f"{server.url}/fastapi/slash/"


def test_fastapis_documentation_finds_its_schema(browser: httpx.Client) -> None:
    page = browser.get("/fastapi/docs").text
    (url,) = re.findall(r"url: '([^']+)'", page)
    schema = browser.get(url).json()

    assert url == "/fastapi/openapi.json"
    assert "/hello" in schema["paths"]
    assert schema["servers"] == [{"url": "/fastapi"}]


def log_in(browser: httpx.Client, admin: str) -> httpx.Response:
    page = browser.get(admin)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert token is not None, page.text
    fields = {"username": USER, "password": PASSWORD, "csrfmiddlewaretoken": token[1]}
    return browser.post(
        page.url.copy_remove_param("next"),
        data={**fields, "next": admin},
        headers={"referer": str(page.url)},
    )


@pytest.mark.parametrize("admin", ["/django/admin/", "/channels/admin/"])
def test_djangos_admin_logs_in_below_its_prefix(browser: httpx.Client, admin: str) -> None:
    """Its redirects and its cookies, through Django's WSGI handler and through its ASGI handler."""
    inside = log_in(browser, admin)

    assert (inside.status_code, inside.url.path) == (200, admin)
    assert "Site administration" in inside.text
    assert browser.get(admin).history == []  # the session is kept


def test_paths_below_no_other_prefix_go_to_the_root(browser: httpx.Client) -> None:
    assert browser.get("/hello").text == "Hello from Flask at /hello"
    assert browser.get("/flaskish/hello").status_code == 404
    assert browser.get("/nested/nothing").text == "Not Found\n"


def test_each_framework_serves_websockets_if_the_server_does(server: Server) -> None:
    if server.spec.name == "waitress":  # apps get no access to the connection
        refused = {status_of(server, f"{prefix}/ws") for prefix in SOCKETS}
        assert refused == {501}
        return
    sockets = dict(SOCKETS)
    if server.spec.name == "daphne":  # its scope has no "scheme", and Quart 0.20 needs one
        del sockets["/quart"]
    answers = {prefix: exchange(server, f"{prefix}/ws", "hello") for prefix in sockets}

    assert answers == {prefix: f"{name}: hello" for prefix, name in sockets.items()}


def exchange(server: Server, path: str, text: str) -> str:
    url = f"ws://{server.host}:{server.port}{path}"
    with connect(url, proxy=None, open_timeout=TIMEOUT_S) as socket:
        socket.send(text)
        return str(socket.recv(TIMEOUT_S))


def status_of(server: Server, path: str) -> int:
    """The status with which a WebSocket is refused."""
    with pytest.raises(InvalidStatus) as refused:
        exchange(server, path, "")
    return int(refused.value.response.status_code)


def test_a_websocket_that_no_app_can_serve_is_refused(server: Server) -> None:
    if not is_asgi(server):
        return
    assert status_of(server, "/flask/ws") == 403
    assert (
        "refused the WebSocket /flask/ws: the app mounted at '/flask', flask.app.Flask, is a "
        in (server.wait_for_log("refused the WebSocket /flask/ws"))
    )
    assert status_of(server, "/nested/nothing") in (403, 404)


@pytest.mark.parametrize("name", ["uvicorn-h11", "hypercorn", "daphne", "gunicorn-asgi"])
def test_a_servers_root_path_precedes_every_prefix(servers: Servers, name: str) -> None:
    spec = SERVERS[name]
    assert spec.root_path is not None
    server = servers.get(
        name, "tests.apps.router_lifespans:app", env={}, args=tuple(spec.root_path("/proxy"))
    )
    # uvicorn adds it, for a proxy that has stripped it; the others expect it in the request.
    sent = "" if name.startswith("uvicorn") else "/proxy"
    with httpx.Client(base_url=server.url + sent, timeout=TIMEOUT_S) as client:
        assert client.get("/one/").json() == {"root_path": "/proxy/one", "state": {"one": "up"}}
        assert client.get("/").text == "site at /proxy"
