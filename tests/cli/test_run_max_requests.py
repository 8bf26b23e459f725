"""`--max-requests`: workers are replaced under load, and no request is lost."""

from __future__ import annotations

import http.client
import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from bridge.cli.replacement import RequestLimit
from tests.cli.running import TARGETS, TIMEOUT_S, left_behind, running, stop
from tests.harness.ports import HOST
from tests.harness.servers import Server

PROCESSES = 4
"""How many have to be seen: the first two and their replacements."""
LOAD_TIMEOUT_S = 4 * TIMEOUT_S


class _Load:
    """Clients that send one request after another: two on connections that they keep for as long as
    the server does, and two on a new connection for each.
    """

    def __init__(self, site: Server) -> None:
        self.pids: Counter[int] = Counter()
        self.failures: list[str] = []
        self._site = site
        self._has_to_stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(keeps,))
            for keeps in (True, True, False, False)
        ]

    def run_until(self, is_done: Callable[[], bool]) -> None:
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

    def _run(self, keeps: bool) -> None:
        connection = http.client.HTTPConnection(HOST, self._site.port, timeout=TIMEOUT_S)
        try:
            while not self._has_to_stop.is_set():
                connection.request("GET", "/", headers={} if keeps else {"Connection": "close"})
                response = connection.getresponse()  # reconnects only after Connection: close
                assert response.status == 200, response.status
                self.pids[json.loads(response.read())["pid"]] += 1
        except (OSError, http.client.HTTPException, AssertionError) as error:
            self.failures.append(repr(error))
        finally:
            connection.close()


@pytest.mark.parametrize(
    ("server", "framework"), [("uvicorn", "flask"), ("hypercorn", "fastapi"), ("gunicorn", "flask")]
)
def test_workers_are_replaced_under_load_and_no_request_is_lost(
    server: str, framework: str
) -> None:
    options = ("--workers", "2", "--max-requests", "50", "--max-requests-jitter", "25")
    with running(server, TARGETS[framework], *options, "--log-level", "warning") as site:
        load = _Load(site)
        load.run_until(lambda: len(load.pids) >= PROCESSES)
        assert load.failures == []
        assert stop(site, signal.SIGTERM) == 0
        assert left_behind(site) == []


def test_the_limit_is_reached_once_and_the_jitter_is_added_to_it() -> None:
    limit = RequestLimit(3, 0)
    assert [limit.is_reached() for _ in range(5)] == [False, False, True, False, False]
    assert {RequestLimit(3, 2).limit for _ in range(200)} == {3, 4, 5}
    assert not any(RequestLimit(0, 5).is_reached() for _ in range(10))
