"""Disconnects on each ASGI server: the iterable is closed on its thread, and no thread is lost.

uvicorn, daphne and granian report a disconnect by ``receive`` only. hypercorn over HTTP/2 and
gunicorn raise in ``send``. Over HTTP/2 only the stream ends, and the connection stays open.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from tests.conftest import BUFFERED, THREADS, LiveServer
from tests.harness.control import Control
from tests.harness.http import Exchange, Http1Client

LEAVING = 10
BLOCKED_S = 1.5
"""Longer than the adapter takes to read more of a body that the app does not read."""

EXPECT = ("expect", "100-continue")
ENDLESS = ["/endless", "/endless/generator"]


def start_endless(live_server: LiveServer, path: str) -> Exchange:
    exchange = live_server.client.open("GET", path)
    assert exchange.chunk().startswith(b"data: ")
    return exchange


def assert_all_threads_serve(live_server: LiveServer, control: Control, key: str) -> None:
    """Send as many concurrent requests as there are threads."""
    gate_key = f"{key}-capacity"
    held = [live_server.client.open("GET", f"/hold?key={gate_key}") for _ in range(THREADS)]
    control.expect_waiting(gate_key, "hold", count=THREADS)
    control.open(gate_key, "hold")
    assert [exchange.read().status for exchange in held] == [200] * THREADS


@pytest.mark.parametrize("path", ENDLESS)
def test_a_disconnect_calls_close_on_the_iterating_thread_in_its_context(
    live_server: LiveServer, control: Control, key: str, path: str
) -> None:
    exchange = start_endless(live_server, f"{path}?key={key}")
    exchange.disconnect()

    (closed,) = control.expect(key, "closed")
    (started,) = control.expect(key, "started")
    assert closed["thread"] == started["thread"]
    assert closed["user"] == key


def test_a_disconnect_is_not_logged_as_an_error(
    live_server: LiveServer, control: Control, key: str
) -> None:
    exchange = start_endless(live_server, f"/endless?key={key}")
    exchange.disconnect()
    control.expect(key, "closed")

    assert live_server.client.fetch("GET", "/").status == 200
    assert "Traceback" not in live_server.log()


def test_a_disconnect_ends_a_busy_app_at_its_next_chunk(
    live_server: LiveServer, control: Control, key: str
) -> None:
    """Python cannot interrupt the thread before the next chunk."""
    exchange = live_server.client.open("GET", f"/endless/quiet?key={key}")
    assert exchange.chunk() == b"first"
    control.expect_waiting(key, "second")
    exchange.disconnect()
    assert live_server.client.fetch("GET", "/").status == 200
    control.release(key, "second")

    control.expect(key, "closed")
    assert_all_threads_serve(live_server, control, key)


def test_ten_disconnects_per_thread_lose_no_thread(
    live_server: LiveServer, control: Control, key: str
) -> None:
    """P1, with as many concurrent disconnects as threads."""
    for round_ in range(1, 11):
        exchanges = [start_endless(live_server, f"/endless?key={key}") for _ in range(THREADS)]
        for exchange in exchanges:
            exchange.disconnect()
        control.expect(key, "closed", count=round_ * THREADS)

    assert len(control.reports(key, "started")) == 10 * THREADS
    assert_all_threads_serve(live_server, control, key)


def test_a_disconnect_of_a_stalled_client_frees_its_thread(
    live_server: LiveServer, control: Control, key: str
) -> None:
    """The app waits for the window: the disconnect must wake it."""
    size = 256 << 20
    exchange = live_server.client.open("GET", f"/large/counted?key={key}&size={size}")
    exchange.head()
    exchange.disconnect()

    (closed,) = control.expect(key, "closed")
    if (
        live_server.name != "daphne"
    ):  # has no backpressure: the app may finish before the disconnect
        assert closed["size"] < size
    assert_all_threads_serve(live_server, control, key)


def test_a_disconnect_during_an_upload_frees_its_thread(
    live_server: LiveServer, control: Control, key: str
) -> None:
    if (
        live_server.name == "daphne"
    ):  # passes only whole bodies to an app, see test_to_asgi_requests
        return
    for _ in range(2 * THREADS):
        exchange = live_server.client.open("POST", f"/upload/cut?key={key}", has_body=True)
        exchange.send(b"x" * BUFFERED)
        exchange.disconnect()

    control.expect(key, "ended", count=len(control.reports(key, "reading")))
    assert_all_threads_serve(live_server, control, key)


@pytest.mark.parametrize("size", [100_000, 1_000_000])
def test_a_disconnect_after_an_unread_body_frees_its_thread(
    live_server: LiveServer, control: Control, key: str, size: int
) -> None:
    """A server reports the disconnect after the body, which this app never reads."""
    for _ in range(THREADS):
        head = [("content-length", str(size))]
        exchange = live_server.client.open("POST", f"/endless?key={key}", head, has_body=True)
        exchange.send(b"x" * size)
        assert exchange.chunk().startswith(b"data: ")
        exchange.disconnect()

    control.expect(key, "closed", count=THREADS)
    assert_all_threads_serve(live_server, control, key)


def test_a_disconnect_after_more_than_the_spare_window_frees_its_thread(
    http1_server: LiveServer, control: Control, key: str
) -> None:
    """The client stays until the adapter has read all that it reads ahead for a start."""
    if http1_server.name == "daphne":  # passes only whole bodies to an app
        return

    def send_and_leave(number: int) -> None:
        head = [("content-length", str(90_000_000))]
        exchange = Http1Client(http1_server.port).open(
            "POST", f"/endless?key={key}", head, has_body=True
        )
        exchange.send(b"x" * BUFFERED)
        assert exchange.chunk().startswith(b"data: ")
        exchange.stream.socket.settimeout(BLOCKED_S)
        with suppress(TimeoutError):
            while True:
                exchange.send(b"x" * BUFFERED)
        exchange.disconnect()

    with ThreadPoolExecutor(LEAVING) as clients:
        list(clients.map(send_and_leave, range(LEAVING)))

    control.expect(key, "closed", count=LEAVING)
    assert_all_threads_serve(http1_server, control, key)


def test_a_disconnect_before_100_continue_frees_its_thread(
    live_server: LiveServer, control: Control, key: str
) -> None:
    sends_continue = live_server.name != "daphne"  # which waits for the whole body
    for fields in ([], [("content-length", "10" if sends_continue else "0")]):
        exchange = live_server.client.open("POST", f"/endless?key={key}", [EXPECT, *fields])
        assert exchange.chunk().startswith(b"data: ")
        exchange.disconnect()

    control.expect(key, "closed", count=2)
    assert_all_threads_serve(live_server, control, key)
