"""Clients that leave an ASGI app behind a WSGI server (P14): the app ends, and nothing is lost."""

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
def test_an_app_that_streams_hears_of_it_within_a_second(
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


@pytest.mark.parametrize("path", ["/silent", "/silent/working", "/silent/listening"])
def test_an_app_that_is_silent_hears_of_it_too(
    wsgi_server: LiveWsgiServer, control: Control, key: str, path: str
) -> None:
    """Nothing is written that could fail; an idle event stream must not hold its thread."""
    if not wsgi_server.can.detects_disconnect:
        pytest.skip("this server tells nothing of its clients")
    exchange = wsgi_server.client.open("GET", f"{path}?key={key}")
    control.expect(key, "started")
    exchange.disconnect()

    control.expect(key, "closed")
    assert wsgi_server.client.fetch("GET", "/").status == 200
    assert "Traceback" not in wsgi_server.log()


@pytest.mark.parametrize("path", ["/silent", "/silent/working"])
def test_so_does_one_that_has_not_read_its_request(
    wsgi_server: LiveWsgiServer, control: Control, key: str, path: str
) -> None:
    """A FastAPI endpoint that takes no body leaves what came with its POST unread."""
    if not wsgi_server.can.detects_disconnect:
        pytest.skip("this server tells nothing of its clients")
    length = [("content-length", "2")]
    exchange = wsgi_server.client.open("POST", f"{path}?key={key}", length, has_body=True)
    exchange.send(b"{}")
    assert exchange.chunk().startswith(b"data: first")
    control.expect(key, "started")
    exchange.disconnect()

    control.expect(key, "closed")
    assert wsgi_server.client.fetch("GET", "/").status == 200


def test_a_client_that_closes_its_sending_half_still_gets_its_answer(
    gthread_server: LiveWsgiServer, control: Control, key: str
) -> None:
    """RFC 9112, 9.6. It looks like a client that has left, until something is sent to it."""
    exchange = Http1Client(gthread_server.port).open("GET", f"/hold?key={key}")
    exchange.stream.socket.shutdown(socket.SHUT_WR)
    control.expect_waiting(key, "hold")
    time.sleep(2 * POLL_S)  # the time to notice it, wrongly
    control.release(key, "hold")

    assert exchange.read().status == 200
    exchange.close()


def test_two_thousand_clients_that_leave_in_mid_stream_cost_nothing(
    gthread_server: LiveWsgiServer, control: Control, key: str
) -> None:
    """No task, no thread and no file descriptor more than before."""
    leave_in_mid_stream(gthread_server, control, f"{key}-warm", 8)
    before = cost(gthread_server)

    leave_in_mid_stream(gthread_server, control, key, 2000)

    # The last of them are on their way out: they have reported, and not returned yet.
    deadline = time.monotonic() + SETTLE_S
    while (grown := cost(gthread_server).more_than(before)) and time.monotonic() < deadline:
        time.sleep(0.02)  # polling, with a deadline: the end of a task sends no event
    assert not grown


@dataclass(frozen=True)
class Cost:
    """What a serving process holds."""

    tasks: int
    threads: Counter[str]
    fds: int

    def more_than(self, before: Cost) -> list[str]:
        """What it holds that it did not hold then."""
        kinds = {"tasks": self.tasks - before.tasks, "fds": self.fds - before.fds}
        kinds |= self.threads - before.threads
        return [f"{name}: {more} more" for name, more in kinds.items() if more > 0]


def cost(live_server: LiveWsgiServer) -> Cost:
    process = live_server.client.fetch("GET", "/process").json()
    return Cost(process["tasks"], Counter(process["threads"]), live_server.server.fds())


def leave_in_mid_stream(
    live_server: LiveWsgiServer, control: Control, key: str, count: int
) -> None:
    """As many at a time as the server has threads."""
    path = f"/endless/listening?key={key}"
    for done in range(0, count, GTHREAD_THREADS):
        leaving = [start_endless(live_server, path) for _ in range(GTHREAD_THREADS)]
        for exchange in leaving:
            exchange.disconnect()
        control.expect(key, "closed", count=done + GTHREAD_THREADS)
