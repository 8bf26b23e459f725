"""Clients that leave: the iterator is closed on its thread, and no thread is lost.

uvicorn, daphne and granian say so through ``receive`` only; hypercorn over HTTP/2 and gunicorn
raise from ``send``; over HTTP/2 only the stream ends, and the connection stays.
"""

from __future__ import annotations

import pytest

from tests.conftest import THREADS, LiveServer
from tests.harness.control import Control
from tests.harness.http import Exchange

EXPECT = ("expect", "100-continue")
ENDLESS = ["/endless", "/endless/generator"]


def start_endless(live_server: LiveServer, path: str) -> Exchange:
    exchange = live_server.client.open("GET", path)
    assert exchange.chunk().startswith(b"data: ")
    return exchange


def assert_all_threads_serve(live_server: LiveServer, control: Control, key: str) -> None:
    """As many requests as there are threads are inside at the same time, and all are answered."""
    gate_key = f"{key}-capacity"
    held = [live_server.client.open("GET", f"/hold?key={gate_key}") for _ in range(THREADS)]
    control.expect_waiting(gate_key, "hold", count=THREADS)
    control.open(gate_key, "hold")
    assert [exchange.read().status for exchange in held] == [200] * THREADS


@pytest.mark.parametrize("path", ENDLESS)
def test_close_runs_on_the_iterating_thread_and_in_its_context(
    live_server: LiveServer, control: Control, key: str, path: str
) -> None:
    exchange = start_endless(live_server, f"{path}?key={key}")
    exchange.disconnect()

    (closed,) = control.expect(key, "closed")
    (started,) = control.expect(key, "started")
    assert closed["thread"] == started["thread"]
    assert closed["user"] == key


def test_a_leaving_client_is_not_logged_as_an_error(
    live_server: LiveServer, control: Control, key: str
) -> None:
    exchange = start_endless(live_server, f"/endless?key={key}")
    exchange.disconnect()
    control.expect(key, "closed")

    assert live_server.client.fetch("GET", "/").status == 200
    assert "Traceback" not in live_server.log()


def test_an_app_busy_between_chunks_is_stopped_at_the_next(
    live_server: LiveServer, control: Control, key: str
) -> None:
    """Python cannot interrupt the thread; what it can promise is: at the next chunk, not later."""
    exchange = live_server.client.open("GET", f"/endless/quiet?key={key}")
    assert exchange.chunk() == b"first"
    control.expect_waiting(key, "second")
    exchange.disconnect()
    assert live_server.client.fetch("GET", "/").status == 200
    control.release(key, "second")

    control.expect(key, "closed")
    assert_all_threads_serve(live_server, control, key)


def test_clients_that_leave_ten_times_per_thread_cost_no_capacity(
    live_server: LiveServer, control: Control, key: str
) -> None:
    """P1 on a real server: as many at a time as there are threads, ten times over."""
    for round_ in range(1, 11):
        leaving = [start_endless(live_server, f"/endless?key={key}") for _ in range(THREADS)]
        for exchange in leaving:
            exchange.disconnect()
        control.expect(key, "closed", count=round_ * THREADS)

    assert len(control.reports(key, "started")) == 10 * THREADS
    assert_all_threads_serve(live_server, control, key)


def test_a_client_that_stalls_and_then_leaves_frees_its_thread(
    live_server: LiveServer, control: Control, key: str
) -> None:
    """The app waits for the window, not for a chunk: leaving must wake it."""
    size = 256 << 20
    exchange = live_server.client.open("GET", f"/large/counted?key={key}&size={size}")
    exchange.head()
    exchange.disconnect()

    (closed,) = control.expect(key, "closed")
    if live_server.name != "daphne":  # has no backpressure, so the app may be done before it learns
        assert closed["size"] < size
    assert_all_threads_serve(live_server, control, key)


def test_a_client_that_leaves_during_its_upload_frees_its_thread(
    live_server: LiveServer, control: Control, key: str
) -> None:
    if live_server.name == "daphne":  # gives no part of a body to an app, see test_to_asgi_requests
        return
    for _ in range(2 * THREADS):
        exchange = live_server.client.open("POST", f"/upload/cut?key={key}", has_body=True)
        exchange.send(b"x" * 10)
        exchange.disconnect()

    control.expect(key, "ended", count=len(control.reports(key, "reading")))
    assert_all_threads_serve(live_server, control, key)


@pytest.mark.parametrize("size", [100_000, 1_000_000])
def test_a_client_that_leaves_an_unread_body_behind_frees_its_thread(
    live_server: LiveServer, control: Control, key: str, size: int
) -> None:
    """A server says that the client has left only behind the body, which this app never reads."""
    for _ in range(THREADS):
        head = [("content-length", str(size))]
        exchange = live_server.client.open("POST", f"/endless?key={key}", head, has_body=True)
        exchange.send(b"x" * size)
        assert exchange.chunk().startswith(b"data: ")
        exchange.disconnect()

    control.expect(key, "closed", count=THREADS)
    assert_all_threads_serve(live_server, control, key)


def test_a_client_that_leaves_without_having_been_told_to_continue_frees_its_thread(
    live_server: LiveServer, control: Control, key: str
) -> None:
    waits = live_server.name != "daphne"  # which gives no part of a body to an app
    for fields in ([], [("content-length", "10" if waits else "0")]):
        exchange = live_server.client.open("POST", f"/endless?key={key}", [EXPECT, *fields])
        assert exchange.chunk().startswith(b"data: ")
        exchange.disconnect()

    control.expect(key, "closed", count=2)
    assert_all_threads_serve(live_server, control, key)
