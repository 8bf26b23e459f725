"""Responses of an ASGI app behind each WSGI server: heads, streams, files, background work."""

from __future__ import annotations

import json
import time
from urllib.parse import quote

import pytest

from tests.apps.asgi_conformance import BLOCK
from tests.harness.control import Control
from tests.harness.http import Aborted, Response
from tests.servers.to_wsgi.conftest import LiveWsgiServer, WsgiServers

AHEAD = 12 << 20
"""The size of the window and of socket buffers with a stalled client, in bytes."""


def head_of(live_server: LiveWsgiServer, *headers: tuple[str, str], status: int = 200) -> Response:
    encoded = quote(json.dumps(headers))
    return live_server.client.fetch("GET", f"/head?status={status}&headers={encoded}")


def test_the_head_arrives_as_the_app_sent_it(wsgi_server: LiveWsgiServer) -> None:
    response = head_of(
        wsgi_server, ("x-one", "1"), ("set-cookie", "a=1"), ("set-cookie", "b=2"), status=201
    )

    assert response.status == 201
    assert response.header("x-one") == "1"
    assert response.header_values("set-cookie") == ["a=1", "b=2"]
    assert response.body == b"body"


def test_hop_by_hop_headers_of_the_app_are_dropped(wsgi_server: LiveWsgiServer) -> None:
    """An ASGI app may send them, but wsgiref refuses them with an error."""
    response = head_of(
        wsgi_server, ("connection", "x-mine"), ("transfer-encoding", "chunked"), ("x-mine", "1")
    )

    assert (response.status, response.header("x-mine"), response.body) == (200, "1", b"body")
    assert response.header("connection") != "x-mine"


def test_an_unregistered_status_arrives(wsgi_server: LiveWsgiServer) -> None:
    assert head_of(wsgi_server, status=299).status == 299


@pytest.mark.parametrize("status", [204, 304])
def test_a_bodyless_status_has_no_body(wsgi_server: LiveWsgiServer, status: int) -> None:
    assert head_of(wsgi_server, status=status).body == b""
    assert wsgi_server.client.fetch("GET", "/").body == b"ready", (
        "no body may be left on the connection"
    )


def test_head_has_no_body(wsgi_server: LiveWsgiServer) -> None:
    response = wsgi_server.client.fetch("HEAD", "/echo")

    assert (response.status, response.body) == (200, b"")
    assert "WARNING" not in wsgi_server.log(), "gunicorn warns about a body in response to HEAD"


def test_each_chunk_is_sent_before_the_next_is_produced(
    wsgi_server: LiveWsgiServer, control: Control, key: str
) -> None:
    """P21 in the other direction."""
    exchange = wsgi_server.client.open("GET", f"/stream?key={key}&count=3")
    for number in range(3):
        control.release(key, "chunk")
        expected = f"chunk {number};".encode()
        received = b""
        while len(received) < len(expected):
            received += exchange.chunk()
        assert received == expected

    assert exchange.chunk() == b""


def test_a_large_response_arrives_whole(wsgi_server: LiveWsgiServer) -> None:
    assert wsgi_server.client.fetch("GET", "/large?blocks=160").body == BLOCK * 160


def test_a_large_response_of_sync_code_arrives_whole(wsgi_server: LiveWsgiServer) -> None:
    """The sync code runs on the thread that passes the response to the server."""
    if not wsgi_server.can.has_write:
        with pytest.raises(Aborted):
            wsgi_server.client.fetch("GET", "/large/sync?blocks=160")
        assert "response_window=131072 is full" in wsgi_server.log(wait_for="is full")
        return

    response = wsgi_server.client.fetch("GET", "/large/sync?blocks=160")

    assert response.body == BLOCK * 160


def test_a_file_arrives_whole(wsgi_server: LiveWsgiServer) -> None:
    response = wsgi_server.client.fetch("GET", "/file?blocks=40")

    assert response.body == BLOCK * 40
    assert response.header("content-length") == str(len(BLOCK) * 40)


def test_a_stalled_client_pauses_the_app(
    wsgi_server: LiveWsgiServer, control: Control, key: str
) -> None:
    """P3 in the other direction: the app is at most a window ahead of the server."""
    blocks = 16384  # 1 GiB
    exchange = wsgi_server.client.open("GET", f"/large?blocks={blocks}&key={key}")
    exchange.head()
    made, last = 0, -1
    while made != last:
        last = made
        time.sleep(0.3)  # a pause has no event; a slow machine can end this too soon
        made = len(control.reports(key, "progress")) * 16 * len(BLOCK)
    exchange.disconnect()
    control.expect(key, "ended")

    assert made < AHEAD + wsgi_server.can.response_buffer


def test_a_response_ends_before_its_background_work(
    wsgi_server: LiveWsgiServer, control: Control, key: str
) -> None:
    """P15."""
    response = wsgi_server.client.fetch("POST", f"/background?key={key}", body=b"")

    assert (response.status, response.body) == (202, b"accepted")
    assert wsgi_server.client.fetch("GET", "/").status == 200, "the server thread must be free"
    assert control.reports(key, "worked") == []
    control.release(key, "work")
    (worked,) = control.expect(key, "worked")
    assert worked["thread_name"] == "bridge-loop"


def test_requests_run_concurrently(
    threaded_server: LiveWsgiServer, control: Control, key: str
) -> None:
    """P6 in the other direction: all requests of a process share one event loop."""
    held = [threaded_server.client.open("GET", f"/hold?key={key}") for _ in range(4)]
    control.expect_waiting(key, "hold", count=4)
    control.open(key, "hold")

    bodies = [exchange.read().json() for exchange in held]
    assert {body["thread_name"] for body in bodies} == {"bridge-loop"}


def test_thread_sensitive_code_runs_on_the_server_thread(
    threaded_server: LiveWsgiServer,
) -> None:
    seen = threaded_server.client.fetch("GET", "/sensitive").json()

    assert seen["first"]["thread"] == seen["second"]["thread"]
    assert seen["first"]["thread"] not in (seen["loop"]["thread"], seen["other"]["thread"])
    assert not seen["first"]["thread_name"].startswith("bridge")


def test_context_variables_do_not_reach_the_next_request(
    wsgi_server: LiveWsgiServer, key: str
) -> None:
    """P26."""
    seen = {
        wsgi_server.client.fetch("GET", f"/context?key={key}-{number}").json()["before"]
        for number in range(12)
    }

    assert seen == {"-"}


def test_context_variables_of_a_file_do_not_reach_the_next_request(
    wsgi_server: LiveWsgiServer, key: str
) -> None:
    """waitress closes the file on the thread of its sockets, which has no variables."""
    for number in range(4):
        path = f"/file?blocks=320&user={key}-{number}"
        assert len(wsgi_server.client.fetch("GET", path).body) == 320 * len(BLOCK)
    seen = {
        wsgi_server.client.fetch("GET", f"/context?key={key}").json()["before"] for _ in range(12)
    }

    assert seen == {"-"}


@pytest.mark.parametrize("name", ["gunicorn-gthread", "waitress", "wsgiref"])
def test_wsgiref_validate_reports_no_error(wsgi_servers: WsgiServers, name: str, key: str) -> None:
    live_server = wsgi_servers.get(name, "tests.apps.asgi_targets:validated")

    assert live_server.client.fetch("GET", "/echo").status == 200
    assert (
        live_server.client.fetch("POST", "/upload", body=b"x" * 100_000).json()["length"] == 100_000
    )
    assert live_server.client.fetch("GET", "/large?blocks=10").body == BLOCK * 10
    assert live_server.client.fetch("HEAD", "/").body == b""
    assert head_of(live_server, ("set-cookie", "a=1"), status=404).status == 404
    assert "AssertionError" not in live_server.log()
