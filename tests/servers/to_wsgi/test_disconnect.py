"""Disconnects from an ASGI app behind each WSGI server (P14)."""

from __future__ import annotations

import socket
import time
from collections import Counter
from dataclasses import dataclass

import pytest

from bridge.asgi_to_wsgi.thread_side import POLL_S
from tests.harness.control import Control
from tests.harness.http import Exchange, Http1Client
from tests.servers.to_wsgi.conftest import GTHREAD_THREADS, LiveWsgiServer

SETTLE_S = 30.0
ENDLESS = {"/endless": ["ClientDisconnected"], "/endless/listening": ["http.disconnect"]}


def start_endless(live_server: LiveWsgiServer, path: str) -> Exchange:
    exchange = live_server.client.open("GET", path)
    assert exchange.chunk().startswith(b"data: first")
    return exchange


@pytest.mark.parametrize("path", ENDLESS)
def test_a_disconnect_ends_a_streaming_app(
    wsgi_server: LiveWsgiServer, control: Control, key: str, path: str
) -> None:
    exchange = start_endless(wsgi_server, f"{path}?key={key}")
    control.expect(key, "started")
    exchange.disconnect()

    (closed,) = control.expect(key, "closed")
    assert closed["reason"] in ENDLESS[path]
    assert wsgi_server.client.fetch("GET", "/").status == 200
    assert "Boom" not in wsgi_server.log()
    assert "Traceback" not in wsgi_server.log()


def test_a_disconnect_ends_sync_code_that_streams(
    wsgi_server: LiveWsgiServer, control: Control, key: str
) -> None:
    """Its first event arrives, although the code that sends it occupies the server thread."""
    if not wsgi_server.can.has_write:
        pytest.skip("sync code cannot stream on this server")
    exchange = wsgi_server.client.open("GET", f"/endless/sync?key={key}")
    assert exchange.chunk().startswith(b"data: tick")
    exchange.disconnect()

    (closed,) = control.expect(key, "closed")
    assert closed["reason"] == "ClientDisconnected"
    assert wsgi_server.client.fetch("GET", "/").status == 200


@pytest.mark.parametrize("path", ["/silent", "/silent/working", "/silent/listening"])
def test_a_disconnect_ends_a_silent_app(
    wsgi_server: LiveWsgiServer, control: Control, key: str, path: str
) -> None:
    """No write can fail. An idle event stream must not occupy its thread."""
    if not wsgi_server.can.detects_disconnect:
        pytest.skip("this server does not show disconnects")
    exchange = wsgi_server.client.open("GET", f"{path}?key={key}")
    control.expect(key, "started")
    exchange.disconnect()

    control.expect(key, "closed")
    assert wsgi_server.client.fetch("GET", "/").status == 200
    assert "Traceback" not in wsgi_server.log()


@pytest.mark.parametrize("path", ["/silent", "/silent/working"])
def test_a_disconnect_ends_a_silent_app_with_an_unread_body(
    wsgi_server: LiveWsgiServer, control: Control, key: str, path: str
) -> None:
    """For example, a FastAPI endpoint without a body parameter."""
    if not wsgi_server.can.detects_disconnect:
        pytest.skip("this server does not show disconnects")
    length = [("content-length", "2")]
    exchange = wsgi_server.client.open("POST", f"{path}?key={key}", length, has_body=True)
    exchange.send(b"{}")
    assert exchange.chunk().startswith(b"data: first")
    control.expect(key, "started")
    exchange.disconnect()

    control.expect(key, "closed")
    assert wsgi_server.client.fetch("GET", "/").status == 200


def test_a_client_that_closes_its_sending_side_gets_its_response(
    gthread_server: LiveWsgiServer, control: Control, key: str
) -> None:
    """RFC 9112, 9.6. Before data is sent to it, it looks like a disconnected client."""
    exchange = Http1Client(gthread_server.port).open("GET", f"/hold?key={key}")
    exchange.stream.socket.shutdown(socket.SHUT_WR)
    control.expect_waiting(key, "hold")
    time.sleep(2 * POLL_S)  # long enough to detect a disconnect by mistake
    control.release(key, "hold")

    assert exchange.read().status == 200
    exchange.close()


def test_two_thousand_disconnects_leave_no_resources(
    gthread_server: LiveWsgiServer, control: Control, key: str
) -> None:
    """No task, thread or descriptor more than before."""
    disconnect_many(gthread_server, control, f"{key}-warm", 8)
    before = resources(gthread_server)

    disconnect_many(gthread_server, control, key, 2000)

    # The last apps have reported but may not have returned yet.
    deadline = time.monotonic() + SETTLE_S
    while (grown := resources(gthread_server).more_than(before)) and time.monotonic() < deadline:
        time.sleep(0.02)  # poll with a deadline: the end of a task sends no event
    assert not grown


@dataclass(frozen=True)
class Resources:
    """The resources of a serving process."""

    tasks: int
    threads: Counter[str]
    fds: int

    def more_than(self, before: Resources) -> list[str]:
        """The resources that have grown since then."""
        kinds = {"tasks": self.tasks - before.tasks, "fds": self.fds - before.fds}
        kinds |= self.threads - before.threads
        return [f"{name}: {more} more" for name, more in kinds.items() if more > 0]


def resources(live_server: LiveWsgiServer) -> Resources:
    process = live_server.client.fetch("GET", "/process").json()
    return Resources(process["tasks"], Counter(process["threads"]), live_server.server.fds())


def disconnect_many(live_server: LiveWsgiServer, control: Control, key: str, count: int) -> None:
    """Disconnect as many clients concurrently as the server has threads."""
    path = f"/endless/listening?key={key}"
    for done in range(0, count, GTHREAD_THREADS):
        exchanges = [start_endless(live_server, path) for _ in range(GTHREAD_THREADS)]
        for exchange in exchanges:
            exchange.disconnect()
        control.expect(key, "closed", count=done + GTHREAD_THREADS)
