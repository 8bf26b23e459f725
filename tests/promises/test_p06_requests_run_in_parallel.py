"""P6: N requests run concurrently on N threads.

Seen at asgiref #218 and #316: its ``WsgiToAsgi`` runs one request at a time. The tests use gates
and not the clock.
"""

from __future__ import annotations

from tests.conftest import THREADS, LiveServer
from tests.harness.control import Control


def test_requests_use_all_threads_concurrently(
    live_server: LiveServer, control: Control, key: str
) -> None:
    exchanges = [live_server.client.open("GET", f"/hold?key={key}") for _ in range(THREADS)]

    control.expect_waiting(key, "hold", count=THREADS)

    control.open(key, "hold")
    responses = [exchange.read().json() for exchange in exchanges]
    assert len({response["thread"] for response in responses}) == THREADS


def test_no_more_requests_run_than_there_are_threads(
    live_server: LiveServer, control: Control, key: str
) -> None:
    exchanges = [live_server.client.open("GET", f"/hold?key={key}") for _ in range(3 * THREADS)]
    most = 0
    for _ in range(3 * THREADS):
        control.expect_waiting(key, "hold")
        most = max(most, control.waiting(key, "hold"))
        control.release(key, "hold")

    assert [exchange.read().status for exchange in exchanges] == [200] * 3 * THREADS
    assert most <= THREADS
