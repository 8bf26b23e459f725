"""P7: apps can share an executor, a full backlog is a 503, and the wait for a thread is measured.

Seen at connexion #1979 and #2045, a2wsgi #23: ten threads for each app, no bound, no statistics.
``tests/servers/test_to_asgi_capacity.py`` tests the 503 on every server.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from concurrent.futures import Executor, ThreadPoolExecutor

import pytest

import bridge
from bridge.types import Environ, StartResponse
from tests.apps.wsgi_routes import PLAIN
from tests.harness.asgi import Exchange, call, http_scope

WAIT_S = 10.0


def naming_app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    return [threading.current_thread().name.encode()]


@pytest.mark.parametrize("kind", ["bridge", "standard-library"])
def test_two_apps_share_one_executor(kind: str) -> None:
    with shared_executor(kind) as executor:
        one = bridge.to_asgi(naming_app, executor=executor)
        two = bridge.to_asgi(naming_app, executor=executor)

        names = [call(app, http_scope()).body for app in (one, two, one, two)]

        assert all(name.startswith(b"shared") for name in names)
        assert executor.submit(lambda: 42).result(WAIT_S) == 42


def shared_executor(kind: str) -> Executor:
    if kind == "bridge":
        return bridge.WorkerPool(2, name="shared")
    return ThreadPoolExecutor(2, thread_name_prefix="shared")


@pytest.mark.parametrize("kind", ["bridge", "standard-library"])
def test_a_shared_executor_survives_the_shutdown_of_an_app(kind: str) -> None:
    async def run_lifespan(app: bridge.WsgiToAsgi) -> None:
        messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

        async def receive() -> dict[str, str]:
            return next(messages)

        async def send(message: object) -> None:
            pass

        await app({"type": "lifespan"}, receive, send)

    with shared_executor(kind) as executor:
        app = bridge.WsgiToAsgi(naming_app, executor=executor)
        asyncio.run(run_lifespan(app))

        assert call(app, http_scope()).body.startswith(b"shared")


def test_the_backlog_is_bounded_and_the_wait_is_measured() -> None:
    started, release = threading.Event(), threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        started.set()
        assert release.wait(WAIT_S)
        start_response("200 OK", PLAIN)
        return [b"ok"]

    async def run() -> None:
        with bridge.WorkerPool(1, backlog=2, name="bounded") as pool:
            adapter = bridge.to_asgi(app, executor=pool)
            async with (
                Exchange(adapter, http_scope()) as running,
                Exchange(adapter, http_scope()) as waiting,
                Exchange(adapter, http_scope()) as waiting_too,
                Exchange(adapter, http_scope()) as refused,
            ):
                running.feed()
                assert await asyncio.to_thread(started.wait, WAIT_S)
                for exchange in (waiting, waiting_too, refused):
                    exchange.feed()
                response = await refused.response()
                assert response.status == 503
                assert int(response.header("retry-after") or 0) >= 1
                stats = pool.stats()
                assert (stats.threads, stats.running, stats.waiting) == (1, 1, 2)
                assert stats.refused == 1

                release.set()
                for exchange in (running, waiting, waiting_too):
                    assert (await exchange.response()).status == 200
            stats = pool.stats()
            assert stats.wait_max_s > 0
            assert stats.wait_total_s >= stats.wait_max_s

    asyncio.run(run())


def test_threads_start_with_the_first_request() -> None:
    with bridge.WorkerPool(8, name="lazy") as pool:
        adapter = bridge.to_asgi(naming_app, executor=pool)
        assert pool.stats().threads == 0

        call(adapter, http_scope())

        assert pool.stats().threads == 1
