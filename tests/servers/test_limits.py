"""Slow pages with limits, on real servers: the others are served, and so is the health check."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from itertools import islice

import pytest

from tests.apps.limited import BACKLOG, THREADS
from tests.conftest import LiveServer, Servers
from tests.harness.control import Control
from tests.harness.http import Response

TARGET = "tests.apps.limited:app"
SLOW = ["/reports/year", "/bulk/year"]


def running(servers: Servers, name: str) -> Iterator[LiveServer]:
    live_server = LiveServer.of(servers.get(name, TARGET, env={}))
    yield live_server
    live_server.client.close()
    assert not servers.pop_dead()


@pytest.fixture(params=["uvicorn-httptools", "hypercorn"])
def asgi_server(request: pytest.FixtureRequest, servers: Servers) -> Iterator[LiveServer]:
    yield from running(servers, request.param)


@pytest.fixture(params=["gunicorn-gthread", "waitress"])
def wsgi_server(request: pytest.FixtureRequest, servers: Servers) -> Iterator[LiveServer]:
    """With four threads."""
    yield from running(servers, request.param)


@contextmanager
def requested(server: LiveServer, path: str, count: int) -> Iterator[list[Future[Response]]]:
    with ThreadPoolExecutor(count) as clients:
        yield [clients.submit(server.client.fetch, "GET", path) for _ in range(count)]


def first(responses: list[Future[Response]], count: int) -> list[int]:
    """The statuses of those that are answered first."""
    return [each.result().status for each in islice(as_completed(responses, timeout=30), count)]


@pytest.mark.parametrize("path", SLOW)
def test_slow_pages_leave_the_other_threads_free(
    asgi_server: LiveServer, control: Control, key: str, path: str
) -> None:
    """Of five, one runs, one waits, and three are refused at once."""
    with requested(asgi_server, f"{path}?key={key}", 5) as slow:
        control.expect_waiting(key, "hold")
        assert first(slow, 3) == [503] * 3
        assert asgi_server.client.fetch("GET", "/").body == b"/"
        assert control.waiting(key, "hold") == 1
        control.open(key, "hold")
        statuses = sorted(each.result().status for each in slow)

    assert statuses == [200, 200, 503, 503, 503]
    assert "Traceback" not in asgi_server.log()


def test_a_health_check_is_served_while_all_threads_are_busy_and_the_backlog_is_full(
    asgi_server: LiveServer, control: Control, key: str
) -> None:
    count = THREADS + BACKLOG + 1
    with requested(asgi_server, f"/hold?key={key}", count) as held:
        control.expect_waiting(key, "hold", count=THREADS)
        assert first(held, 1) == [503]
        assert asgi_server.client.fetch("GET", "/healthz").status == 200
        assert asgi_server.client.fetch("GET", "/").status == 503
        control.open(key, "hold")
        assert sorted(each.result().status for each in held) == [200] * (count - 1) + [503]


@pytest.mark.parametrize("path", SLOW)
def test_on_a_wsgi_server_slow_pages_leave_its_other_threads_free(
    wsgi_server: LiveServer, control: Control, key: str, path: str
) -> None:
    """None of them waits for another: that would take a thread of the server."""
    with requested(wsgi_server, f"{path}?key={key}", 1) as slow:
        control.expect_waiting(key, "hold")
        refused = [wsgi_server.client.fetch("GET", f"{path}?key={key}") for _ in range(8)]
        assert wsgi_server.client.fetch("GET", "/").body == b"/"
        control.open(key, "hold")
        assert slow[0].result().status == 200

    assert [(each.status, each.header("retry-after")) for each in refused] == [(503, "1")] * 8
    assert wsgi_server.client.fetch("GET", f"{path}?key={key}").status == 200
