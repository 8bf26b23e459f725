"""More requests than the threads can serve, on real servers; and threads that cannot be started.

`tests/unit/threads/test_job_queue.py` has the figures, with a clock of its own.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator

import pytest

from benchmarks.overload import Counts, send
from tests.apps.wsgi_paced import SECONDS, THREADS
from tests.conftest import LiveServer, Servers

CAPACITY = THREADS / SECONDS
LOAD_S = 5.0
TARGET = "tests.apps.wsgi_paced"


@pytest.fixture(params=["uvicorn-httptools", "hypercorn", "granian"])
def paced_server(request: pytest.FixtureRequest, servers: Servers) -> Iterator[LiveServer]:
    live_server = LiveServer.of(servers.get(request.param, f"{TARGET}:app", env={}))
    yield live_server
    live_server.client.close()
    assert not servers.pop_dead()


def load(server: LiveServer, requests: int, seconds: float, patience_s: float) -> Counts:
    return asyncio.run(send(server.port, requests / seconds, seconds, patience_s))


def test_a_burst_is_served_in_time_without_a_refusal(paced_server: LiveServer) -> None:
    """As long as its last request is served in time: here after two seconds."""
    counts = load(paced_server, round(2 * CAPACITY), 0.1, 30)

    assert (len(counts.useful_s), counts.refusals_s) == (2 * CAPACITY, [])
    assert (counts.left, counts.failed) == (0, 0)


def test_an_overload_serves_clients_in_time_and_logs_a_line(paced_server: LiveServer) -> None:
    """In order of arrival, only those of the first second would be, at most."""
    patience_s = 1
    counts = load(paced_server, round(4 * CAPACITY * LOAD_S), LOAD_S, patience_s)

    assert len(counts.useful_s) > 1.25 * CAPACITY * patience_s
    assert len(counts.refusals_s) > CAPACITY
    log = paced_server.log(wait_for="wait_target_s=0.1)")
    assert log.count("503 for GET /") == 1
    assert "Traceback" not in log

    after = load(paced_server, round(CAPACITY / 2), 1, 30)
    assert (len(after.useful_s), after.refusals_s) == (round(CAPACITY / 2), [])


@pytest.mark.skipif(sys.platform != "linux", reason="reads its size in /proc")
def test_where_no_more_threads_can_be_started_the_others_serve_and_a_line_is_logged(
    servers: Servers,
) -> None:
    server = LiveServer.of(servers.get("uvicorn-httptools", f"{TARGET}:few", env={}))
    counts = load(server, 60, 0.1, 60)

    assert len(counts.useful_s) == 60
    log = server.log(wait_for="no other can be started")
    assert log.count("no other can be started") == 1
    assert log.count("Traceback") == 1
    assert server.client.fetch("GET", "/").body == b"done\n"
    server.client.close()
