"""P1: a client that leaves mid-stream: ``close()`` within a second or a chunk, on the iterating
thread, in its context; and ten times as many of them as there are threads cost no capacity.

``tests/servers/test_to_asgi_disconnect.py`` and ``tests/conformance/test_disconnect.py`` have the
many ways of leaving; this is the promise itself. Seen at flask #6123, a2wsgi #48 and #49.
"""

from __future__ import annotations

import time

from tests.apps.wsgi_streams import PAUSE_S
from tests.conftest import THREADS, LiveServer
from tests.harness.control import Control

PROMISE_S = 1.0
MACHINE_S = 4.0
"""What a busy machine may add."""


def test_close_runs_within_a_second_on_the_iterating_thread(
    live_server: LiveServer, control: Control, key: str
) -> None:
    """The seconds are those of the app, by its events: one that is given no processor makes none.

    All processes of a machine have the same monotonic clock.
    """
    exchange = live_server.client.open("GET", f"/endless?key={key}")
    exchange.chunk()
    exchange.disconnect()
    left_at = time.monotonic()

    (closed,) = control.expect(key, "closed")
    (started,) = control.expect(key, "started")
    late = [made_at for made_at in closed["made_at"] if made_at > left_at]
    assert len(late) * PAUSE_S <= PROMISE_S
    assert closed["closed_at"] - closed["made_at"][-1] < PROMISE_S + MACHINE_S
    assert closed["thread"] == started["thread"]
    assert closed["user"] == key, "close() ran in another context"


def test_ten_times_the_threads_leave_and_every_thread_is_still_there(
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
