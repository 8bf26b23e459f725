"""Stuck requests through ``to_wsgi`` on real servers: who gets 504, and what the server still does.

`tests/unit/asgi_to_wsgi/test_time_limit.py` has each rule, in this process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.conftest import LiveServer, Servers, in_full
from tests.harness.http import Aborted, Exchange, Http1Client
from tests.harness.servers import serve

TARGET = "tests.apps.asgi_stuck:app"
WAIT_S = 60.0


@pytest.fixture(params=["gunicorn-gthread", *in_full("waitress", "granian-wsgi")])
def stuck_server(request: pytest.FixtureRequest, servers: Servers) -> Iterator[LiveServer]:
    live_server = LiveServer.of(servers.get(request.param, TARGET, env={}))
    yield live_server
    live_server.client.close()
    assert not servers.pop_dead()


def read_to_the_end(exchange: Exchange) -> None:
    while exchange.chunk():
        pass


def test_an_app_that_is_stuck_costs_its_client_504_and_no_thread(stuck_server: LiveServer) -> None:
    fetch = stuck_server.client.fetch
    paths = ["/await", "/deaf", "/await", "/deaf"]
    with ThreadPoolExecutor(len(paths)) as clients:  # as many as there are threads
        answers = list(clients.map(lambda path: fetch("GET", path).status, paths))
    assert answers == [504] * len(paths)
    assert fetch("GET", "/").status == 200

    with closing(stuck_server.client.open("GET", "/begun")) as begun:
        assert begun.chunk() == b"the beginning"
        with pytest.raises(Aborted):
            read_to_the_end(begun)

    assert fetch("GET", "/block").status == 504
    log = stuck_server.log(wait_for="request_timeout_s=1. ", times=6)
    assert "await asyncio.Event().wait()" in log
    assert "time.sleep(BLOCKS_S)" in log


def test_a_worker_of_gunicorn_with_stuck_sync_code_is_replaced() -> None:
    """It ends when its other requests have ended. gunicorn kills it then, after its ``timeout``:
    the thread that is stuck does not let it exit."""
    limits = ["--graceful-timeout", "1", "--timeout", "4"]
    with (
        serve("gunicorn-gthread", TARGET, args=limits) as server,
        closing(Http1Client(server.port)) as client,
    ):

        def pid() -> int:
            return int(client.fetch("GET", "/").json()["pid"])

        before = pid()
        with closing(client.open("GET", "/sync")) as stuck:
            deadline = time.monotonic() + WAIT_S
            while _next_pid(pid) in (0, before):
                assert time.monotonic() < deadline, server.log()
                time.sleep(0.1)  # polling, with a deadline: another process
            with pytest.raises((Aborted, OSError, EOFError)):
                stuck.read()
        log = server.log()
        assert "sync code of tests.apps.asgi_stuck.stuck has run for request_timeout_s=1" in log
        assert "asking for a new process: SIGTERM" in log


def _next_pid(pid: Callable[[], int]) -> int:
    """0 while no worker serves."""
    try:
        return pid()
    except (OSError, EOFError, Aborted):
        return 0
