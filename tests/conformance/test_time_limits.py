"""``queue_timeout_s`` and ``request_timeout_s`` of ``to_asgi``: who is given up, and what remains.

The limits are short; the app is stuck until the test lets it go on.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import pytest

import bridge
from bridge._threads import health
from bridge.types import AsgiApp, Environ, StartResponse
from tests.apps.wsgi_routes import PLAIN
from tests.conformance.conftest import ToAsgi
from tests.harness.asgi import Exchange, call_async, http_scope, lifespan

Logged = Callable[[], list[str]]

LIMIT_S = 0.1
WAIT_S = 15.0


@pytest.fixture(autouse=True)
def healthy() -> Iterator[None]:
    """What a test reports of the health of this process does not concern the next one."""
    health._forget()
    yield
    health._forget()


class StuckApp:
    """``/stuck`` is stuck until :attr:`go_on` is set, anything else answers at once.

    :ivar calls: the paths, in order.
    :ivar closed: set by ``close()`` of a response that was stuck.
    :ivar errors: what writing after that has raised.
    """

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.closed = threading.Event()
        self.calls: list[str] = []
        self.errors: list[BaseException] = []
        self.threads: list[threading.Thread] = []

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        self.calls.append(path)
        self.threads.append(threading.current_thread())
        if path == "/stuck":
            self.go_on.wait(WAIT_S)
            write = start_response("200 OK", PLAIN)
            try:
                write(b"late")
            except bridge.BridgeError as error:
                self.errors.append(error)
            return Closing([b"too late"], self.closed)
        if path == "/begun":
            start_response("200 OK", PLAIN)
            return Closing(self.begun(), self.closed)
        start_response("200 OK", PLAIN)
        return [b"done"]

    def begun(self) -> Iterator[bytes]:
        yield b"the beginning"
        self.go_on.wait(WAIT_S)
        yield b"too late"


class Closing:
    def __init__(self, chunks: Iterable[bytes], closed: threading.Event) -> None:
        self._chunks = chunks
        self._closed = closed

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)

    def close(self) -> None:
        self._closed.set()


@pytest.fixture
def app() -> Iterator[StuckApp]:
    app = StuckApp()
    yield app
    app.go_on.set()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.005)


async def status_of(adapter: AsgiApp, path: str, method: str = "GET") -> int:
    return (await call_async(adapter, http_scope(method, path))).status


# -- request_timeout_s -----------------------------------------------------------------------------


def test_a_stuck_request_is_answered_with_504_and_its_stack_is_logged(
    to_asgi: ToAsgi, app: StuckApp, logged: Logged
) -> None:
    adapter = to_asgi(app, threads=1, request_timeout_s=LIMIT_S)

    response = asyncio.run(call_async(adapter, http_scope(path="/stuck")))

    assert response.status == 504
    assert response.body == b"The server did not complete the request in time.\n"
    (line,) = logged()
    assert line.startswith(
        "GET /stuck has made no progress on its thread for request_timeout_s=0.1"
    )
    assert "self.go_on.wait(WAIT_S)" in line
    assert __file__ in line


def test_the_request_line_is_escaped(to_asgi: ToAsgi, app: StuckApp, logged: Logged) -> None:
    adapter = to_asgi(lambda e, s: app({**e, "PATH_INFO": "/stuck"}, s), request_timeout_s=LIMIT_S)

    assert asyncio.run(status_of(adapter, "/a\nERROR forged")) == 504
    assert "\nERROR forged" not in logged()[0]


def test_another_thread_serves_in_place_of_the_stuck_one(to_asgi: ToAsgi, app: StuckApp) -> None:
    adapter = to_asgi(app, threads=1, request_timeout_s=LIMIT_S)

    async def run() -> list[int]:
        stuck = asyncio.create_task(status_of(adapter, "/stuck"))
        await until(lambda: bool(app.calls))
        waiting = [asyncio.create_task(status_of(adapter, "/")) for _ in range(3)]
        return await asyncio.gather(stuck, *waiting)

    assert asyncio.run(run()) == [504, 200, 200, 200]
    stats = adapter.stats()
    assert (stats.threads, stats.lost) == (1, 1)
    assert app.threads[0] is not app.threads[-1]


def test_the_thread_ends_when_the_app_returns_and_the_late_result_is_dropped(
    to_asgi: ToAsgi, app: StuckApp, logged: Logged
) -> None:
    adapter = to_asgi(app, threads=1, request_timeout_s=LIMIT_S)

    async def run() -> None:
        assert await status_of(adapter, "/stuck") == 504
        app.go_on.set()
        await until(lambda: not adapter.stats().lost)
        assert app.closed.is_set()
        assert await status_of(adapter, "/") == 200

    asyncio.run(run())
    app.threads[0].join(WAIT_S)
    assert not app.threads[0].is_alive()
    assert [type(error) for error in app.errors] == [bridge.ClientDisconnected]
    assert len(logged()) == 1


def test_a_response_that_has_begun_is_cut(to_asgi: ToAsgi, app: StuckApp) -> None:
    adapter = to_asgi(app, threads=1, request_timeout_s=LIMIT_S)

    async def run() -> None:
        async with Exchange(adapter, http_scope(path="/begun")) as exchange:
            exchange.feed()
            with pytest.raises(bridge.RequestTimeout, match=r"request_timeout_s=0\.1"):
                await exchange.wait()
            assert exchange.partial_response().body == b"the beginning"
            assert exchange.sent[-1]["more_body"]
        app.go_on.set()
        await until(app.closed.is_set)
        await until(lambda: not adapter.stats().lost)

    asyncio.run(run())
    assert len(app.calls) == 1


def test_a_client_that_has_left_gets_no_answer_and_the_thread_is_replaced(
    to_asgi: ToAsgi, app: StuckApp
) -> None:
    adapter = to_asgi(app, threads=1, request_timeout_s=LIMIT_S)

    async def run() -> None:
        async with Exchange(adapter, http_scope(path="/begun")) as exchange:
            exchange.feed()
            await exchange.wait_for_body(1)
            exchange.disconnect()
            await exchange.wait()
        assert adapter.stats().lost == 1
        assert await status_of(adapter, "/") == 200

    asyncio.run(run())


def test_a_request_that_the_server_has_cancelled_is_still_watched(
    to_asgi: ToAsgi, app: StuckApp, logged: Logged
) -> None:
    adapter = to_asgi(app, threads=1, request_timeout_s=LIMIT_S)

    async def run() -> None:
        async with Exchange(adapter, http_scope(path="/stuck")) as exchange:
            exchange.feed()
            await until(lambda: bool(app.calls))
        await until(lambda: adapter.stats().lost == 1)
        assert await status_of(adapter, "/") == 200

    asyncio.run(run())
    assert len(logged()) == 1


def test_progress_extends_the_time(to_asgi: ToAsgi) -> None:
    """A download that takes four times the limit is not cut: a chunk comes in a third of it."""
    pause = threading.Event()

    def download(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        for _ in range(12):
            pause.wait(LIMIT_S)
            yield b"x"

    adapter = to_asgi(download, threads=1, request_timeout_s=3 * LIMIT_S)

    assert asyncio.run(call_async(adapter, http_scope())).body == 12 * b"x"
    assert adapter.stats().lost == 0


def test_an_upload_may_take_its_time(to_asgi: ToAsgi) -> None:
    """The app waits for the client: that is what ``body_timeout_s`` is for."""

    def upload(environ: Environ, start_response: StartResponse) -> list[bytes]:
        size = len(environ["wsgi.input"].read())
        start_response("200 OK", PLAIN)
        return [b"%d" % size]

    adapter = to_asgi(upload, threads=1, request_timeout_s=LIMIT_S, buffer_request_bytes=0)

    async def run() -> bytes:
        async with Exchange(adapter, http_scope("POST")) as exchange:
            exchange.feed(b"a", more=True)
            await asyncio.sleep(4 * LIMIT_S)
            exchange.feed(b"b")
            return (await exchange.response()).body

    assert asyncio.run(run()) == b"2"


def test_a_client_that_takes_nothing_is_cut_and_its_thread_is_free(
    to_asgi: ToAsgi, logged: Logged
) -> None:
    closed = threading.Event()

    def endless(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", PLAIN)
        return Closing(iter(lambda: bytes(1000), b""), closed)

    limits = {"request_timeout_s": LIMIT_S, "response_window": 4000, "spool_bytes": 0}
    adapter = to_asgi(endless, threads=1, **limits)

    async def run() -> None:
        async with Exchange(adapter, http_scope()) as exchange:
            exchange.pause_reading()
            exchange.feed()
            await until(closed.is_set)
            await until(lambda: not adapter.stats().running)
            exchange.resume_reading()
            with pytest.raises(bridge.RequestTimeout):
                await exchange.wait()

    asyncio.run(run())
    assert adapter.stats().lost == 0
    assert logged() == [
        "cut the response to GET /: the client has taken nothing for request_timeout_s=0.1"
    ]


def test_as_many_threads_as_there_are_may_be_lost_and_then_the_process_is_degraded(
    to_asgi: ToAsgi, app: StuckApp
) -> None:
    adapter = to_asgi(app, threads=2, request_timeout_s=LIMIT_S)
    reasons: list[str] = []
    health.on_degraded(reasons.append)

    async def stuck(requests: int) -> list[int]:
        return await asyncio.gather(*(status_of(adapter, "/stuck") for _ in range(requests)))

    async def run() -> None:
        assert await stuck(2) == [504, 504]
        assert (adapter.stats().lost, health.degraded()) == (2, None)
        assert await status_of(adapter, "/") == 200
        assert await stuck(1) == [504]
        assert await status_of(adapter, "/") == 200

    asyncio.run(run())
    health._callbacks.remove(reasons.append)
    stats = adapter.stats()
    assert (stats.lost, stats.threads) == (3, 1)
    (reason,) = reasons
    assert reason.startswith("3 threads of pool 'bridge-worker' are stuck in requests")
    assert health.degraded() == reason


def test_requests_are_refused_while_every_thread_is_stuck(to_asgi: ToAsgi, app: StuckApp) -> None:
    adapter = to_asgi(app, threads=1, request_timeout_s=LIMIT_S)

    async def run() -> None:
        assert [await status_of(adapter, "/stuck") for _ in range(2)] == [504, 504]
        assert await status_of(adapter, "/") == 503
        app.go_on.set()
        await until(lambda: not adapter.stats().lost)
        assert await status_of(adapter, "/") == 200

    asyncio.run(run())


def test_the_threads_of_an_executor_are_not_replaced_and_a_line_names_it(
    to_asgi: ToAsgi, app: StuckApp, logged: Logged
) -> None:
    with ThreadPoolExecutor(2) as executor:
        adapter = to_asgi(app, executor=executor, request_timeout_s=LIMIT_S)

        async def run() -> None:
            assert await status_of(adapter, "/stuck") == 504
            assert await status_of(adapter, "/") == 200
            app.go_on.set()
            await until(app.closed.is_set)
            assert await status_of(adapter, "/") == 200

        asyncio.run(run())

    assert logged()[1].startswith("its thread belongs to <concurrent.futures.thread.ThreadPool")


def test_the_end_of_the_app_does_not_wait_for_lost_threads(to_asgi: ToAsgi, app: StuckApp) -> None:
    adapter = to_asgi(app, threads=1, request_timeout_s=LIMIT_S)

    async def run() -> None:
        assert await status_of(adapter, "/stuck") == 504
        async with asyncio.timeout(WAIT_S):
            await adapter._drain()

    asyncio.run(run())
    assert not app.closed.is_set()


def test_a_router_passes_the_limits_on(app: StuckApp) -> None:
    router = bridge.Router({"/": app}, threads=1, request_timeout_s=LIMIT_S)

    async def run() -> None:
        async with lifespan(router):
            assert await status_of(router, "/stuck") == 504
            assert await status_of(router, "/") == 200

    asyncio.run(run())


# -- queue_timeout_s -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["own threads", "a shared pool", "an executor"])
def test_a_request_that_waits_too_long_gets_503_and_never_runs(
    to_asgi: ToAsgi, app: StuckApp, logged: Logged, kind: str
) -> None:
    executor: Executor | None = None
    if kind != "own threads":
        executor = (
            bridge.WorkerPool(1, name="shared")
            if kind == "a shared pool"
            else ThreadPoolExecutor(1)
        )
    adapter = to_asgi(app, threads=1, executor=executor, queue_timeout_s=LIMIT_S)

    async def run() -> None:
        stuck = asyncio.create_task(status_of(adapter, "/stuck"))
        await until(lambda: bool(app.calls))
        waiting = [call_async(adapter, http_scope(path=f"/{n}")) for n in range(3)]
        for response in await asyncio.gather(*waiting):
            assert response.status == 503
            assert response.header("retry-after") == "1"
        assert (adapter.stats().waiting, adapter.stats().refused) == (0, 3)
        app.go_on.set()
        assert await stuck == 200
        assert await status_of(adapter, "/after") == 200

    asyncio.run(run())
    if executor is not None:
        executor.shutdown()
    assert app.calls == ["/stuck", "/after"]
    assert len(logged()) == 3
    assert all(line.endswith("s (queue_timeout_s=0.1)") for line in logged())


def test_a_request_that_gets_a_thread_in_time_is_served(to_asgi: ToAsgi, app: StuckApp) -> None:
    adapter = to_asgi(app, threads=1, queue_timeout_s=WAIT_S)

    async def run() -> list[int]:
        stuck = asyncio.create_task(status_of(adapter, "/stuck"))
        await until(lambda: bool(app.calls))
        waiting = [asyncio.create_task(status_of(adapter, "/")) for _ in range(3)]
        app.go_on.set()
        return await asyncio.gather(stuck, *waiting)

    assert asyncio.run(run()) == [200] * 4


def test_one_timer_is_enough_and_none_is_left_once_nothing_waits_or_runs(
    to_asgi: ToAsgi, app: StuckApp
) -> None:
    adapter = to_asgi(app, threads=4, request_timeout_s=WAIT_S, queue_timeout_s=WAIT_S)

    async def run() -> None:
        timers = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]

        def sweeps() -> int:
            return sum("_sweep" in repr(timer) for timer in timers)

        stuck = asyncio.create_task(status_of(adapter, "/stuck"))
        assert await asyncio.gather(*(status_of(adapter, "/") for _ in range(20))) == [200] * 20
        assert sweeps() == 1
        app.go_on.set()
        assert await stuck == 200
        await until(lambda: not sweeps())

    asyncio.run(run())


# -- together with limits of paths -----------------------------------------------------------------


def test_a_request_that_waits_in_its_share_is_refused_too(to_asgi: ToAsgi, app: StuckApp) -> None:
    """Its app never runs, and it leaves its place in the line."""
    limits = {"/stuck": bridge.Limit(threads=1, backlog=1)}

    async def run() -> None:
        adapter = to_asgi(app, threads=2, limits=limits, queue_timeout_s=LIMIT_S)
        first = asyncio.create_task(status_of(adapter, "/stuck"))
        await until(lambda: app.calls == ["/stuck"])
        for _ in range(3):
            assert await status_of(adapter, "/stuck") == 503
        assert await status_of(adapter, "/") == 200
        app.go_on.set()
        assert await first == 200
        assert await status_of(adapter, "/stuck") == 200
        assert adapter.limit_stats()["/stuck"].refused == 3

    asyncio.run(run())
    assert app.calls.count("/stuck") == 2


def test_a_stuck_request_keeps_its_place_and_no_thread_of_others(
    to_asgi: ToAsgi, app: StuckApp
) -> None:
    limits = {"/stuck": bridge.Limit(threads=1)}

    async def run() -> None:
        adapter = to_asgi(
            app, threads=2, limits=limits, request_timeout_s=LIMIT_S, queue_timeout_s=LIMIT_S
        )
        assert await status_of(adapter, "/stuck") == 504
        assert adapter.stats().lost == 1
        assert await status_of(adapter, "/stuck") == 503
        assert [await status_of(adapter, "/") for _ in range(4)] == [200] * 4
        app.go_on.set()
        await until(lambda: not adapter.stats().lost)
        assert await status_of(adapter, "/stuck") == 200

    asyncio.run(run())


@pytest.mark.parametrize("kind", ["own threads", "an executor"])
def test_requests_are_refused_while_every_place_of_their_share_is_stuck(
    to_asgi: ToAsgi, app: StuckApp, logged: Logged, kind: str
) -> None:
    """Without ``queue_timeout_s``, too: they would wait for as long as the others are stuck."""
    executor = None if kind == "own threads" else ThreadPoolExecutor(4)
    limits = {"/stuck": bridge.Limit(threads=2)}

    async def run() -> None:
        adapter = to_asgi(
            app, threads=4, executor=executor, limits=limits, request_timeout_s=LIMIT_S
        )
        first = [status_of(adapter, "/stuck") for _ in range(2)]
        assert await asyncio.gather(*first) == [504, 504]
        async with asyncio.timeout(WAIT_S):
            assert await status_of(adapter, "/stuck") == 503
        assert await status_of(adapter, "/") == 200
        app.go_on.set()
        await until(lambda: not adapter.limit_stats()["/stuck"].threads)
        assert await status_of(adapter, "/stuck") == 200
        assert adapter.limit_stats()["/stuck"].refused == 1

    asyncio.run(run())
    if executor is not None:
        executor.shutdown()
    assert app.calls.count("/stuck") == 3
    assert logged()[-1] == "503 for GET /stuck: limits['/stuck'] of 2 threads: every one is stuck"
