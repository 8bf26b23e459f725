"""The adaptive limit on real servers: asyncio's loop and uvloop's.

`tests/unit/threads/test_lag_limit.py` has the rules.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.apps.computing import THREADS
from tests.conftest import LiveServer, Servers
from tests.harness.control import Control

TIMEOUT_S = 60.0


def until(server: LiveServer, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Poll the pool's state: the server decides when it measures."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        stats: dict[str, Any] = server.client.fetch("GET", "/stats").json()
        if is_so(stats):
            return stats
        assert time.monotonic() < deadline, stats


@pytest.mark.parametrize("name", ["uvicorn-h11", "uvicorn-uvloop"])
def test_computing_threads_are_limited_and_come_back(
    servers: Servers, control: Control, key: str, name: str
) -> None:
    server = LiveServer.of(servers.get(name, "tests.apps.computing:app", env={}))
    with ThreadPoolExecutor(THREADS) as clients:
        pages = [clients.submit(server.client.fetch, "GET", f"/?key={key}") for _ in range(THREADS)]
        limited = until(server, lambda stats: stats["max_threads"] < THREADS)
        assert limited["loop_lag_s"] > 0
        control.open(key, "end")
        assert [page.result().body for page in pages] == [b"computed\n"] * THREADS

    idle = until(server, lambda stats: stats["loop_lag_s"] is None)
    assert idle["running"] == 0

    def has_all(stats: dict[str, Any]) -> bool:
        """Each request arms the measurement again, which counts the time without as on time."""
        server.client.fetch("GET", f"/?key={key}")
        return bool(stats["max_threads"] == THREADS)

    until(server, has_all)
    server.client.close()
    assert not servers.pop_dead()
    assert "Traceback" not in server.log()
