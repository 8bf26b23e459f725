"""What comes back from an ASGI app through each WSGI server: heads, streams, files, long work."""

from __future__ import annotations

import json
import time
from urllib.parse import quote

import pytest

from tests.apps.asgi_conformance import BLOCK
from tests.harness.control import Control
from tests.harness.http import Response
from tests.servers.to_wsgi.conftest import LiveWsgiServer, WsgiServers

AHEAD = 12 << 20
"""What a stalled client may leave in sockets and in our window, in bytes."""


def head_of(live_server: LiveWsgiServer, *headers: tuple[str, str], status: int = 200) -> Response:
    asked = quote(json.dumps(headers))
    return live_server.client.fetch("GET", f"/head?status={status}&headers={asked}")


def test_the_head_arrives_as_the_app_sent_it(wsgi_server: LiveWsgiServer) -> None:
    response = head_of(
        wsgi_server, ("x-one", "1"), ("set-cookie", "a=1"), ("set-cookie", "b=2"), status=201
    )

    assert response.status == 201
    assert response.header("x-one") == "1"
    assert response.header_values("set-cookie") == ["a=1", "b=2"]
    assert response.body == b"body"


def test_hop_by_hop_fields_of_the_app_go_nowhere(wsgi_server: LiveWsgiServer) -> None:
    """wsgiref refuses them with an error; an ASGI app may send them."""
    response = head_of(
        wsgi_server, ("connection", "x-mine"), ("transfer-encoding", "chunked"), ("x-mine", "1")
    )

    assert (response.status, response.header("x-mine"), response.body) == (200, "1", b"body")
    assert response.header("connection") != "x-mine"


def test_an_unregistered_status_arrives(wsgi_server: LiveWsgiServer) -> None:
    assert head_of(wsgi_server, status=299).status == 299


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_has_none(wsgi_server: LiveWsgiServer, status: int) -> None:
    assert head_of(wsgi_server, status=status).body == b""
    assert wsgi_server.client.fetch("GET", "/").body == b"ready", "nothing was left on the line"


def test_head_has_no_body(wsgi_server: LiveWsgiServer) -> None:
    response = wsgi_server.client.fetch("HEAD", "/echo")

    assert (response.status, response.body) == (200, b"")
    assert "WARNING" not in wsgi_server.log(), "gunicorn warns of an app that sends a body to HEAD"


def test_each_piece_goes_out_before_the_next_is_made(
    wsgi_server: LiveWsgiServer, control: Control, key: str
) -> None:
    """P21's counterpart."""
    exchange = wsgi_server.client.open("GET", f"/stream?key={key}&count=3")
    for number in range(3):
        control.release(key, "chunk")
        expected = f"chunk {number};".encode()
        got = b""
        while len(got) < len(expected):
            got += exchange.chunk()
        assert got == expected

    assert exchange.chunk() == b""


def test_a_large_response_arrives_whole(wsgi_server: LiveWsgiServer) -> None:
    assert wsgi_server.client.fetch("GET", "/large?blocks=160").body == BLOCK * 160


def test_a_file_arrives_whole(wsgi_server: LiveWsgiServer) -> None:
    response = wsgi_server.client.fetch("GET", "/file?blocks=40")

    assert response.body == BLOCK * 40
    assert response.header("content-length") == str(len(BLOCK) * 40)


def test_a_stalled_client_stops_the_app(
    wsgi_server: LiveWsgiServer, control: Control, key: str
) -> None:
    """P3's counterpart: the app is a window ahead of the server, not a gigabyte."""
    blocks = 16384  # 1 GiB
    exchange = wsgi_server.client.open("GET", f"/large?blocks={blocks}&key={key}")
    exchange.head()
    made, last = 0, -1
    while made != last:
        last = made
        time.sleep(0.3)  # a stall has no event; a slow machine can only stop too early
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
    assert wsgi_server.client.fetch("GET", "/").status == 200, "the thread is free"
    assert control.reports(key, "worked") == []
    control.release(key, "work")
    (worked,) = control.expect(key, "worked")
    assert worked["thread_name"] == "bridge-loop"


def test_requests_run_at_the_same_time(
    threaded_server: LiveWsgiServer, control: Control, key: str
) -> None:
    """P6's counterpart: all of a process's requests share one loop, and none waits for another."""
    held = [threaded_server.client.open("GET", f"/hold?key={key}") for _ in range(4)]
    control.expect_waiting(key, "hold", count=4)
    control.open(key, "hold")

    answers = [exchange.read().json() for exchange in held]
    assert {answer["thread_name"] for answer in answers} == {"bridge-loop"}


def test_thread_sensitive_code_runs_on_the_servers_own_thread(
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
    """waitress closes it on the thread of its sockets, where there is nothing to take back."""
    for number in range(4):
        path = f"/file?blocks=320&user={key}-{number}"
        assert len(wsgi_server.client.fetch("GET", path).body) == 320 * len(BLOCK)
    seen = {
        wsgi_server.client.fetch("GET", f"/context?key={key}").json()["before"] for _ in range(12)
    }

    assert seen == {"-"}


@pytest.mark.parametrize("name", ["gunicorn-gthread", "waitress", "wsgiref"])
def test_wsgiref_validate_finds_nothing(wsgi_servers: WsgiServers, name: str, key: str) -> None:
    live_server = wsgi_servers.get(name, "tests.apps.asgi_targets:validated")

    assert live_server.client.fetch("GET", "/echo").status == 200
    assert (
        live_server.client.fetch("POST", "/upload", body=b"x" * 100_000).json()["length"] == 100_000
    )
    assert live_server.client.fetch("GET", "/large?blocks=10").body == BLOCK * 10
    assert live_server.client.fetch("HEAD", "/").body == b""
    assert head_of(live_server, ("set-cookie", "a=1"), status=404).status == 404
    assert "AssertionError" not in live_server.log()
