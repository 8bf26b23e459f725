"""WebSockets on the event loop beside a WSGI app on threads.

``benchmarks/websockets_beside.py`` measures the duration of the requests.
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
TIMEOUT_S = 60.0
KEEP_ALIVE = {
    "uvicorn-uvloop": "--timeout-keep-alive",
    "hypercorn": "--keep-alive",
    "gunicorn-asgi": "--keep-alive",
}
"""The load keeps its connections: a machine that is busy must not let the server close one."""
KEEP_ALIVE_S = 20
"""hypercorn notices only after this time that its clients have gone."""
SERVERS = [
    "uvicorn-uvloop",
    pytest.param("hypercorn", marks=pytest.mark.full),
    pytest.param("gunicorn-asgi", marks=pytest.mark.full),
]


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A Router with both, on a server of this test only."""
    args = [KEEP_ALIVE[request.param], str(KEEP_ALIVE_S)]
    with serve(request.param, "tests.apps.beside:app", args=args, log_dir=tmp_path) as running:
        yield running


def test_no_websocket_and_no_request_is_lost(server: Server) -> None:
    asyncio.run(run_load(server))


async def run_load(server: Server) -> None:
    """Check descriptors and threads before, during and after the load."""
    threads = server.threads() + THREADS  # the pool starts its threads as needed
    await load(server.port, "/", requests=200, connections=CONNECTIONS)
    before = minimum(server.fds)
    async with open_sockets(server.port, "/ws", SOCKETS) as sockets:
        responses = await load(server.port, "/", requests=REQUESTS, connections=CONNECTIONS)
        assert await answering(sockets) == SOCKETS
        assert server.fds() >= SOCKETS
        assert server.threads() <= threads  # a WebSocket needs none
    assert [response.status for response in responses] == [200] * REQUESTS
    wait_until(lambda: server.fds() <= before, lambda: f"{server.fds()} fds, before {before}")
    assert server.threads() <= threads
    assert "Traceback" not in server.log()


def minimum(count: Callable[[], int]) -> int:
    """The minimum within a second: the server closes its sockets with a delay."""
    lowest = count()
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        time.sleep(0.05)  # poll: descriptors of another process have no event
        lowest = min(lowest, count())
    return lowest


def wait_until(condition: Callable[[], bool], message: Callable[[], str]) -> None:
    """Wait until the condition is true."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, message()
        time.sleep(0.05)  # poll with a deadline
