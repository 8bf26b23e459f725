"""P6: N sleeping requests on N threads take about one unit, because all are inside at once.

Asserted by gates and not by the clock. Seen at asgiref #218 and #316: its ``WsgiToAsgi`` runs one
request at a time.
"""

from __future__ import annotations

from tests.conftest import THREADS, LiveServer
from tests.harness.control import Control


def test_as_many_as_there_are_threads_are_inside_at_once(
    live_server: LiveServer, control: Control, key: str
) -> None:
    asked = [live_server.client.open("GET", f"/hold?key={key}") for _ in range(THREADS)]

    control.expect_waiting(key, "hold", count=THREADS)

    control.open(key, "hold")
    answers = [exchange.read().json() for exchange in asked]
    assert len({answer["thread"] for answer in answers}) == THREADS


def test_no_more_than_the_threads_are_inside_at_once(
    live_server: LiveServer, control: Control, key: str
) -> None:
    asked = [live_server.client.open("GET", f"/hold?key={key}") for _ in range(3 * THREADS)]
    most = 0
    for _ in range(3 * THREADS):
        control.expect_waiting(key, "hold")
        most = max(most, control.waiting(key, "hold"))
        control.release(key, "hold")

    assert [exchange.read().status for exchange in asked] == [200] * 3 * THREADS
    assert most <= THREADS
