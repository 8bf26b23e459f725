"""The same project on every server: sync views, async views, streams, a WebSocket."""

from __future__ import annotations

import pytest

from tests.conftest import LiveServer
from tests.django.conftest import Projects
from tests.django.test_decision import ask
from tests.django.test_requests import LINKS
from tests.django.test_websocket import exchange
from tests.harness.control import Control

ASGI = ["uvicorn-uvloop", "hypercorn", "granian", "daphne", "gunicorn-asgi"]


@pytest.fixture(params=ASGI)
def each(request: pytest.FixtureRequest, project: Projects) -> LiveServer:
    return project(options={"websocket": True}, server=request.param)


def test_every_kind_of_request_is_served(each: LiveServer, control: Control, key: str) -> None:
    assert ask(each, "/sync/")["request"] == "BridgedRequest"
    assert ask(each, "/async/")["request"] == "ASGIRequest"
    assert each.client.fetch("POST", "/echo/", body=b"aye").json()["body"] == "aye"
    assert exchange(each, "ahoy") == "high: ahoy"
    for view in ("sync", "async"):
        control.open(f"{key}-{view}", "chunk")
        stream = each.client.fetch("GET", f"/stream/{view}/{key}-{view}/")
        assert stream.body == b"0;1;2;"


@pytest.mark.parametrize("server", ASGI)
def test_async_streams_take_no_thread_behind_sync_only_middleware(
    project: Projects, control: Control, key: str, server: str
) -> None:
    """And a disconnect cancels each, so that it is closed."""
    site = project(
        {"MIDDLEWARE": ["tests.django.streams.keyed_sync"]}, {"threads": 1}, server=server
    )
    held = [site.client.open("GET", f"/streams/held/{key}/") for _ in range(3)]
    assert {each.chunk() for each in held} == {b"first;"}

    assert ask(site, "/sync/")["kind"] == "sync"

    for each in held:
        each.disconnect()
    assert {each["error"] for each in control.expect(key, "raised", 3)} == {"CancelledError"}
    assert {each["in_context"] for each in control.expect(key, "closed", 3)} == {True}


@pytest.mark.parametrize("server", ["gunicorn-gthread", "waitress"])
def test_a_wsgi_server_serves_the_same_object(
    project: Projects, control: Control, key: str, server: str
) -> None:
    site = project(options={"websocket": True}, server=server)

    assert ask(site, "/sync/")["kind"] == "sync"
    assert ask(site, "/async/")["kind"] == "async"
    exchange = site.client.open("GET", f"/stream/async/{key}/")
    control.release(key, "chunk")
    assert exchange.chunk() == b"0;"
    control.open(key, "chunk")
    assert exchange.read().body == b"1;2;"


def test_djangos_wsgi_app_streams_async_iterators_on_a_wsgi_server(
    project: Projects, control: Control, key: str
) -> None:
    """In a Router. Django alone collects all items before it sends the first."""
    site = project(server="gunicorn-gthread", target="tests.django.handlers:routed")

    exchange = site.client.open("GET", f"/stream/async/{key}/")
    control.release(key, "chunk")
    assert exchange.chunk() == b"0;"
    control.open(key, "chunk")
    assert exchange.read().body == b"1;2;"


@pytest.mark.parametrize("fields", [[], [("transfer-encoding", "chunked")]], ids=["no", "chunked"])
@pytest.mark.parametrize(
    "server", ["gunicorn-gthread", "gunicorn-sync", "waitress", "granian-wsgi"]
)
def test_a_body_can_be_read_as_a_file_on_a_wsgi_server(
    project: Projects, key: str, server: str, fields: list[tuple[str, str]]
) -> None:
    """granian's input accepts no negative size."""
    site = project(server=server)

    exchange = site.client.open("POST", "/read/", [("x-key", key), *fields])
    exchange.send(b"5\r\nahoy!\r\n0\r\n\r\n" if fields else b"")
    answer = exchange.read()

    assert (answer.status, answer.json()) == (200, {"length": 5 if fields else 0})


@pytest.mark.parametrize("server", ["gunicorn-gthread", "gunicorn-sync"])
def test_a_broken_chunk_is_djangos_error_of_an_unreadable_body(
    project: Projects, key: str, server: str
) -> None:
    """gunicorn's own error is no ``OSError``, and views do not know it."""
    site = project(server=server)

    fields = [("x-key", key), ("transfer-encoding", "chunked")]
    exchange = site.client.open("POST", "/read/", fields)
    exchange.send(b"5\r\nahoy!XX0\r\n\r\n")
    answer = exchange.read()

    assert answer.status == 400
    assert "Invalid chunk" in answer.json()["cause"]


MOUNTED = "tests.django.mounted:app"


@pytest.mark.parametrize("server", ["uvicorn-httptools", "gunicorn-gthread"])
def test_the_project_can_be_mounted_in_a_router(project: Projects, server: str) -> None:
    site = project({"DEBUG": True}, {"websocket": True}, server=server, target=MOUNTED)

    assert site.client.fetch("GET", "/").body == b"front"
    for path in ("/sync/", "/async/"):
        seen = ask(site, f"/shop{path}")
        assert (seen["path"], seen["path_info"]) == (f"/shop{path}", path)
        assert seen["kind"] in path
    assert site.client.fetch("GET", "/shop/static/admin/css/base.css").status == 200
    assert ask(site, "/shop/links/") == LINKS


@pytest.mark.parametrize("server", ["uvicorn-httptools", "gunicorn-gthread"])
def test_force_script_name_replaces_the_prefix(project: Projects, server: str) -> None:
    """For example of a Router behind a proxy that mounts it elsewhere."""
    settings = {"FORCE_SCRIPT_NAME": "/public"}
    site = project(settings, server=server, target=MOUNTED)

    for path in ("/sync/", "/async/"):
        seen = ask(site, f"/shop{path}")
        assert (seen["path"], seen["path_info"]) == (f"/public{path}", path)
        assert seen["kind"] in path


def test_a_mounted_project_gets_the_websockets_below_its_prefix(project: Projects) -> None:
    site = project({"DEBUG": True}, {"websocket": True}, target=MOUNTED)

    assert exchange(site, "ahoy", "/shop/ws") == "high: ahoy"
    site.server.wait_for_log("websocket app: startup")
