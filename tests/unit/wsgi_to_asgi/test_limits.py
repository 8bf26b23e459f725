"""``limits=``: which requests they are for, who waits, and what is refused when they are written.

`tests/servers/test_limits.py` has the same on real servers.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import pytest

import bridge
from bridge import Limit, WsgiToAsgi
from bridge.errors import ConfigError
from bridge.types import AsgiApp, Environ, StartResponse
from tests.harness.asgi import Exchange, call_async, http_scope, lifespan
from tests.harness.http import Response

DEADLINE_S = 30


class HeldApp:
    """Waits in each request until it is released.

    :ivar paths: of the requests that have begun.
    """

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.threads: list[str] = []
        self._begun = threading.Semaphore(0)
        self._released = threading.Event()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        self.paths.append(environ["PATH_INFO"])
        self.threads.append(threading.current_thread().name)
        self._begun.release()
        assert self._released.wait(DEADLINE_S)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"done"]

    async def until_begun(self, count: int) -> None:
        for _ in range(count):
            assert await asyncio.to_thread(self._begun.acquire, timeout=DEADLINE_S)

    def release(self) -> None:
        self._released.set()


@asynccontextmanager
async def requested(app: AsgiApp, *paths: str, **scope: Any) -> AsyncIterator[list[Exchange]]:
    """Requests that have been sent in this order, all before the first of them is answered."""
    exchanges = [Exchange(app, http_scope(path=path, **scope)) for path in paths]
    for exchange in exchanges:
        await exchange.__aenter__()
        exchange.feed()
    try:
        yield exchanges
    finally:
        for exchange in exchanges:
            await exchange.__aexit__(None, None, None)


async def until(is_so: Callable[[], bool]) -> None:
    """Threads count a request after its response: poll."""
    async with asyncio.timeout(DEADLINE_S):
        while not is_so():
            await asyncio.sleep(0.001)


async def statuses(exchanges: Iterable[Exchange]) -> list[int]:
    return [(await each.response()).status for each in exchanges]


@pytest.mark.parametrize("executor", [False, True])
async def test_requests_below_a_path_use_a_part_of_the_threads(executor: bool) -> None:
    held = HeldApp()
    own = ThreadPoolExecutor(4) if executor else None
    app = WsgiToAsgi(
        held, threads=4, executor=own, limits={"/reports": Limit(threads=2, backlog=1)}
    )
    reports = ["/reports", "/reports/", "/reports/a", "/reports/b"]
    async with requested(app, *reports, "/reportsx", "/") as exchanges:
        await held.until_begun(4)
        assert (await exchanges[3].response()).status == 503
        assert sorted(held.paths) == ["/", "/reports", "/reports/", "/reportsx"]
        stats = app.limit_stats()["/reports"]
        assert (stats.running, stats.waiting, stats.refused) == (2, 1, 1)
        assert app.stats().running == 4
        held.release()
        assert await statuses(exchanges) == [200, 200, 200, 503, 200, 200]
    if own is not None:
        own.shutdown()


@pytest.mark.parametrize(
    ("scope", "is_limited"),
    [
        ({"path": "/reports"}, True),
        ({"path": "/reports/2026"}, True),
        ({"path": "/reportsx"}, False),
        ({"path": "/x/reports"}, False),
        ({"path": "/reports", "raw_path": b"/%72eports"}, True),
        ({"path": "/shop/reports", "root_path": "/shop"}, True),
        ({"path": "/reports", "root_path": "/shop"}, True),
        ({"path": "/reports", "root_path": "/reports"}, False),
        ({"path": "/café/x"}, True),
        ({"path": "*", "method": "OPTIONS"}, False),
    ],
)
async def test_a_path_is_the_one_that_the_app_sees(scope: Any, is_limited: bool) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [b""]

    limit = Limit(threads=1)
    adapter = WsgiToAsgi(app, threads=2, limits={"/reports/": limit, "/café": limit})
    assert (await call_async(adapter, http_scope(**{"method": "GET", **scope}))).status == 200

    await until(lambda: adapter.stats().completed == 1)
    assert adapter.limit_stats()["/reports/"].completed == is_limited


async def test_one_limit_at_several_paths_is_shared() -> None:
    held, limit = HeldApp(), Limit(threads=1)
    app = WsgiToAsgi(held, threads=3, limits={"/a": limit, "/b": limit, "/c": Limit(threads=1)})
    async with requested(app, "/a", "/b", "/c") as exchanges:
        await held.until_begun(2)
        assert held.paths == ["/a", "/c"]
        assert app.limit_stats()["/b"].waiting == 1
        held.release()
        assert await statuses(exchanges) == [200] * 3


async def test_a_reserved_thread_serves_while_all_others_are_busy_and_the_backlog_is_full() -> None:
    held = HeldApp()
    limits = {"/healthz": Limit(threads=1, backlog=1, reserved=True)}
    app = WsgiToAsgi(held, threads=2, backlog=1, limits=limits)
    async with requested(app, "/", "/", "/", "/") as busy:
        await held.until_begun(2)
        assert (await busy[3].response()).status == 503
        async with requested(app, "/healthz", "/healthz/x", "/healthz") as checks:
            await held.until_begun(1)
            assert (await checks[2].response()).status == 503
            assert held.threads[-1] == "bridge-reserved /healthz-1"
            assert app.stats().threads == 2
            held.release()
            assert await statuses(checks) == [200, 200, 503]
        assert await statuses(busy) == [200, 200, 200, 503]


async def test_a_client_that_leaves_the_line_does_not_reach_the_app() -> None:
    """It is noticed once the request has waited for a while, as in the app's own queue."""
    held = HeldApp()
    app = WsgiToAsgi(held, threads=2, limits={"/reports": Limit(threads=1)})
    async with requested(app, "/reports/1", "/reports/2") as exchanges:
        await held.until_begun(1)
        exchanges[1].disconnect()
        job = next(iter(app._limited._made[0]._line.queue.first))  # type: ignore[union-attr]
        await until(lambda: not job.is_pending())
        held.release()
        assert (await exchanges[0].response()).status == 200
        await asyncio.wait_for(exchanges[1].task, DEADLINE_S)
        await until(lambda: not app.limit_stats()["/reports"].threads)

    assert held.paths == ["/reports/1"]


async def test_at_shutdown_the_requests_that_wait_are_served() -> None:
    held = HeldApp()
    limits = {"/reports": Limit(threads=1), "/healthz": Limit(threads=1, reserved=True)}
    app = WsgiToAsgi(held, threads=4, limits=limits)
    paths = ["/reports/1", "/reports/2", "/reports/3", "/healthz"]
    async with requested(app, *paths) as exchanges:
        await held.until_begun(2)
        async with lifespan(app):
            asyncio.get_running_loop().call_later(0.05, held.release)  # while it shuts down
        assert await statuses(exchanges) == [200] * 4

    again = await call_async(app, http_scope(path="/reports"))  # a server may start it once more
    assert again.status == 200


async def test_a_refusal_names_the_path_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    held = HeldApp()
    app = WsgiToAsgi(held, threads=2, limits={"/reports": Limit(threads=1, backlog=1)})
    async with requested(app, *["/reports/x"] * 3) as exchanges:
        assert (await exchanges[2].response()).status == 503
        held.release()
        await statuses(exchanges)

    logged = [record.getMessage() for record in caplog.records]
    assert logged == [
        "503 for GET /reports/x: limits['/reports'] of 1 threads: 1 jobs wait (backlog=1)"
    ]


def app_without_requests(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    raise AssertionError("it must not be called")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limits": 3}, "limits=3: expected None or {path: bridge.Limit(...)}"),
        ({"limits": {"/a": 8}}, "limits['/a']=8: expected a bridge.Limit, such as Limit(threads=8"),
        ({"limits": {"a": Limit(threads=1)}}, "limits='a': expected a path that begins with a sl"),
        ({"limits": {"/%41": Limit(threads=1)}}, "write it decoded"),
        (
            {"limits": {"/a": Limit(threads=1), "/a/": Limit(threads=2)}},
            "limits='/a/': expected each path once: '/a' is the same",
        ),
        (
            {"executor": bridge.WorkerPool(4), "loop_lag_target_s": 1},
            "loop_lag_target_s=1: expected None with an executor",
        ),
        ({"loop_lag_target_s": 0}, "loop_lag_target_s=0: expected None or a number above 0"),
        (
            {"executor": bridge.WorkerPool(4), "limits": {"/a": Limit(threads=4)}},
            "expected fewer threads than the 4 of the app",
        ),
        (
            {"threads": 4, "limits": {"/a": Limit(threads=4)}},
            "expected fewer threads than the 4 of the app",
        ),
    ],
)
def test_a_wrong_limit_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        bridge.to_asgi(app_without_requests, **options)

    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threads": 0}, "threads=0: expected an int of 1 or more"),
        ({"threads": 1, "backlog": 0}, "backlog=0: expected an int of 1 or more"),
        ({"threads": 1, "wait_target_s": 0}, "wait_target_s=0: expected None or a number above 0"),
        ({"threads": 1, "reserved": 1}, "reserved=1: expected True or False"),
    ],
)
def test_a_wrong_argument_of_a_limit_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Limit(**arguments)

    assert message in str(refused.value)


def test_reserved_threads_may_be_as_many_as_the_others() -> None:
    limits = {"/healthz": Limit(threads=4, reserved=True)}

    bridge.to_asgi(app_without_requests, threads=4, limits=limits)


async def response_of(app: AsgiApp, path: str) -> Response:
    return await call_async(app, http_scope(path=path))


async def test_the_path_of_trusted_environ_decides() -> None:
    """It is the one that the app sees."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode()]

    adapter = WsgiToAsgi(
        app,
        threads=2,
        trusted_environ=lambda scope: {"PATH_INFO": "/reports"},
        limits={"/reports": Limit(threads=1)},
    )
    assert (await response_of(adapter, "/x")).body == b"/reports"
    await until(lambda: adapter.limit_stats()["/reports"].completed == 1)
