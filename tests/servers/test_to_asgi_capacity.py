"""Concurrent requests up to the threads, the backlog, and beyond, on each ASGI server."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice

import pytest

from tests.conftest import THREADS, LiveServer, Servers, options
from tests.harness.control import Control
from tests.harness.servers import ASGI_SERVERS


@pytest.fixture(params=ASGI_SERVERS)
def small_server(request: pytest.FixtureRequest, servers: Servers) -> Iterator[LiveServer]:
    """An adapter with two threads and a backlog of three."""
    live_server = LiveServer.of(servers.get(request.param, env=options(threads=2, backlog=3)))
    yield live_server
    live_server.client.close()
    assert not servers.pop_dead()


def test_requests_use_all_threads_concurrently(
    live_server: LiveServer, control: Control, key: str
) -> None:
    held = [live_server.client.open("GET", f"/hold?key={key}") for _ in range(THREADS)]
    control.expect_waiting(key, "hold", count=THREADS)
    control.open(key, "hold")

    seen = [exchange.read().json() for exchange in held]
    assert len({facts["thread"] for facts in seen}) == THREADS


def test_worker_threads_have_names(live_server: LiveServer) -> None:
    assert "bridge" in live_server.client.fetch("GET", "/echo").json()["thread_name"]


def test_requests_beyond_the_threads_wait(
    live_server: LiveServer, control: Control, key: str
) -> None:
    count = 3 * THREADS
    held = [live_server.client.open("GET", f"/hold?key={key}") for _ in range(count)]
    control.expect_waiting(key, "hold", count=THREADS)
    control.open(key, "hold")

    assert [exchange.read().status for exchange in held] == [200] * count


def test_requests_beyond_the_backlog_get_503_at_once(
    small_server: LiveServer, control: Control, key: str
) -> None:
    """Of ten requests, two run, three wait, and five are refused at once."""
    with ThreadPoolExecutor(10) as clients:
        responses = [
            clients.submit(small_server.client.fetch, "GET", f"/hold?key={key}") for _ in range(10)
        ]
        control.expect_waiting(key, "hold", count=2)
        refused = list(islice(as_completed(responses, timeout=15), 5))
        control.open(key, "hold")
        statuses = [response.result().status for response in responses]

    assert [response.result().status for response in refused] == [503] * 5
    assert sorted(statuses) == [200] * 5 + [503] * 5
    assert all(int(response.result().header("retry-after") or 0) >= 1 for response in refused)
    assert small_server.client.fetch("GET", "/").status == 200
    assert "Traceback" not in small_server.log()
