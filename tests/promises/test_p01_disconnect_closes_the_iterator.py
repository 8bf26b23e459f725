"""P1: a disconnect in the middle of a response calls ``close()`` within a second or a chunk, on the
iterating thread and in its context. Ten disconnects per thread lose no thread.

Seen at flask #6123, a2wsgi #48 and #49. ``tests/servers/test_to_asgi_disconnect.py`` and
``tests/conformance/test_disconnect.py`` test every kind of disconnect.
"""

from __future__ import annotations

import time

from tests.apps.wsgi_streams import PAUSE_S
from tests.conftest import THREADS, LiveServer
from tests.harness.control import Control

PROMISE_S = 1.0
MACHINE_S = 4.0
"""Extra time for a busy machine."""


def test_a_disconnect_calls_close_within_a_second_on_the_iterating_thread(
    live_server: LiveServer, control: Control, key: str
) -> None:
    """The second is measured in events of the app, which makes none while it has no CPU.

    All processes of a machine share the monotonic clock.
    """
    exchange = live_server.client.open("GET", f"/endless?key={key}")
    exchange.chunk()
    exchange.disconnect()
    disconnected_at = time.monotonic()

    (closed,) = control.expect(key, "closed")
    (started,) = control.expect(key, "started")
    late = [made_at for made_at in closed["made_at"] if made_at > disconnected_at]
    assert len(late) * PAUSE_S <= PROMISE_S
    assert closed["closed_at"] - closed["made_at"][-1] < PROMISE_S + MACHINE_S
    assert closed["thread"] == started["thread"]
    assert closed["user"] == key, "close() must run in the same context"


def test_ten_disconnects_per_thread_lose_no_thread(
    live_server: LiveServer, control: Control, key: str
) -> None:
    for round_ in range(1, 11):
        for _ in range(THREADS):
            exchange = live_server.client.open("GET", f"/endless/generator?key={key}")
            exchange.chunk()
            exchange.disconnect()
        control.expect(key, "closed", count=round_ * THREADS)

    held = [live_server.client.open("GET", f"/hold?key={key}") for _ in range(THREADS)]
    control.expect_waiting(key, "hold", count=THREADS)
    control.open(key, "hold")
    assert [exchange.read().status for exchange in held] == [200] * THREADS
