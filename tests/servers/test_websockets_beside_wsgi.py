"""WebSockets on the event loop beside a WSGI app on threads: neither is in the other's way.

Counts only. How long requests take meanwhile is measured by `benchmarks/websockets_beside.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.apps.beside import THREADS
from tests.harness.beside import answering, load, open_sockets
from tests.harness.servers import Server, serve

SOCKETS, REQUESTS, CONNECTIONS = 200, 2000, 64
PATIENCE_S = 30.0
SERVERS = [
    "uvicorn-uvloop",
    pytest.param("hypercorn", marks=pytest.mark.full),
    pytest.param("gunicorn-asgi", marks=pytest.mark.full),
]


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A Router with both of them, on a server that nobody else uses."""
    with serve(request.param, "tests.apps.beside:app", log_dir=tmp_path) as running:
        yield running


def test_no_socket_and_no_request_is_lost(server: Server) -> None:
    asyncio.run(beside(server))


async def beside(server: Server) -> None:
    """Count before, during and after."""
    threads = server.threads() + THREADS  # the pool's come as they are needed
    await load(server.port, "/", requests=200, connections=CONNECTIONS)
    before = settled(server.fds)
    async with open_sockets(server.port, "/ws", SOCKETS) as sockets:
        answers = await load(server.port, "/", requests=REQUESTS, connections=CONNECTIONS)
        assert await answering(sockets) == SOCKETS
        assert server.fds() >= SOCKETS
        assert server.threads() <= threads  # a socket costs none
    assert [answer.status for answer in answers] == [200] * REQUESTS
    wait_until(lambda: server.fds() <= before, lambda: f"{server.fds()} fds, before {before}")
    assert server.threads() <= threads
    assert "Traceback" not in server.log()


def settled(count: Callable[[], int]) -> int:
    """The least count within a second: closed connections close on the server's side, too."""
    least = count()
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        time.sleep(0.05)  # polling: another process's descriptors have no event
        least = min(least, count())
    return least


def wait_until(true: Callable[[], bool], say: Callable[[], str]) -> None:
    """Ask until it is true; fail after a while."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, say()
        time.sleep(0.05)  # polling, with a deadline
