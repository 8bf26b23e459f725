"""What `WsgiToAsgi` costs and owns: hand-overs, threads, memory, lifespan."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from bridge import WorkerPool, WsgiToAsgi, to_asgi
from bridge._threads.loop_inbox import inbox_of
from bridge.errors import ServerProtocolError
from bridge.types import AsgiApp, Environ, Message, StartResponse
from bridge.wsgi_to_asgi.bodies import BIG_BYTES, ResponseBody
from bridge.wsgi_to_asgi.loop_side import LoopSide
from bridge.wsgi_to_asgi.thread_side import ThreadSide
from tests.harness.asgi import http_scope

DEADLINE_S = 30


def hello(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello, ", b"world!"]


async def get(app: AsgiApp, **scope: Any) -> list[Message]:
    """One GET as the cheapest possible server would make it; the messages it was sent."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await asyncio.wait_for(app(http_scope(**scope), receive, send), DEADLINE_S)
    return sent


class Lifespan:
    """Speaks the lifespan protocol to an app."""

    def __init__(self, app: AsgiApp) -> None:
        self.sent: asyncio.Queue[Message] = asyncio.Queue()
        self.received: asyncio.Queue[Message] = asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}}
        self.task = asyncio.ensure_future(app(scope, self.received.get, self.sent.put))

    async def ask(self, phase: str) -> str:
        await self.received.put({"type": f"lifespan.{phase}"})
        message = await asyncio.wait_for(self.sent.get(), DEADLINE_S)
        return str(message["type"])


async def test_an_ordinary_request_wakes_the_loop_once() -> None:
    app = WsgiToAsgi(hello, threads=4)
    await get(app)
    inbox = inbox_of(asyncio.get_running_loop())
    before, completed = inbox.wakeups, app.stats().completed
    for _ in range(100):
        start, body = await get(app)
        assert (start["status"], body["body"]) == (200, b"Hello, world!")
        assert body["more_body"] is False
    assert inbox.wakeups - before == 100
    assert app.stats().completed - completed >= 99  # the last may not be counted yet


async def test_requests_one_after_the_other_use_one_thread() -> None:
    app = WsgiToAsgi(hello, threads=10)
    for _ in range(20):
        await get(app)
        while app.stats().idle < app.stats().threads:  # it goes idle a moment after its job
            await asyncio.sleep(0)
    assert app.stats().threads == 1


async def test_a_request_is_freed_when_it_ends_not_by_the_garbage_collector() -> None:
    freed: list[str] = []

    class Marker:
        def __init__(self, name: str) -> None:
            weakref.finalize(self, freed.append, name)

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        environ["test.marker"] = Marker("environ")
        start_response("200 OK", [])
        marker = Marker("iterable")
        yield b"one"
        del marker

    adapter = WsgiToAsgi(app)
    gc.collect()
    gc.disable()
    try:
        await get(adapter)
        async with asyncio.timeout(DEADLINE_S):
            while len(freed) < 2:  # the worker lets go of the job after it has notified us
                await asyncio.sleep(0)
    finally:
        gc.enable()


async def test_nothing_starts_before_the_first_request() -> None:
    before = set(threading.enumerate())
    app = WsgiToAsgi(hello)
    assert app.stats().threads == 0
    assert set(threading.enumerate()) <= before


async def test_adapters_that_are_dropped_leave_no_thread() -> None:
    names = {thread.name for thread in threading.enumerate()}
    for _ in range(100):
        await get(WsgiToAsgi(hello))
    gc.collect()
    left = [t for t in threading.enumerate() if t.name not in names and "worker" in t.name]
    for thread in left:
        await asyncio.to_thread(thread.join, DEADLINE_S)
        assert not thread.is_alive()


async def test_lifespan_starts_at_once_and_ends_the_threads() -> None:
    app = WsgiToAsgi(hello, threads=2)
    lifespan = Lifespan(app)
    assert await lifespan.ask("startup") == "lifespan.startup.complete"
    before = set(threading.enumerate())
    await get(app)
    workers = [t for t in set(threading.enumerate()) - before if "bridge-worker" in t.name]
    assert workers
    assert await lifespan.ask("shutdown") == "lifespan.shutdown.complete"
    await lifespan.task
    for worker in workers:
        await asyncio.to_thread(worker.join, DEADLINE_S)
    assert app.stats().threads == 0


async def test_an_app_may_live_twice() -> None:
    app = WsgiToAsgi(hello)
    for _ in range(2):
        lifespan = Lifespan(app)
        await lifespan.ask("startup")
        assert (await get(app))[0]["status"] == 200
        await lifespan.ask("shutdown")


async def test_shutdown_waits_for_what_runs(caplog: pytest.LogCaptureFixture) -> None:
    inside, leave = threading.Event(), threading.Event()

    def slow(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        inside.set()
        leave.wait(DEADLINE_S)
        return hello(environ, start_response)

    app = WsgiToAsgi(slow)
    lifespan = Lifespan(app)
    await lifespan.ask("startup")
    request = asyncio.create_task(get(app))
    await asyncio.to_thread(inside.wait, DEADLINE_S)
    shutdown = asyncio.create_task(lifespan.ask("shutdown"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not shutdown.done()
    leave.set()
    assert await shutdown == "lifespan.shutdown.complete"
    assert (await request)[0]["status"] == 200
    assert caplog.records == []


async def test_shutdown_gives_up_after_its_timeout(caplog: pytest.LogCaptureFixture) -> None:
    inside, leave = threading.Event(), threading.Event()

    def stuck(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        inside.set()
        leave.wait(DEADLINE_S)
        return hello(environ, start_response)

    app = WsgiToAsgi(stuck, shutdown_timeout_s=0.01)
    lifespan = Lifespan(app)
    await lifespan.ask("startup")
    request = asyncio.create_task(get(app))
    await asyncio.to_thread(inside.wait, DEADLINE_S)
    assert await lifespan.ask("shutdown") == "lifespan.shutdown.complete"
    assert "1 requests still run after shutdown_timeout_s=0.01" in caplog.text
    leave.set()
    await request


async def test_a_shared_pool_is_left_to_its_owner() -> None:
    pool = WorkerPool(2, name="shared")
    first, second = WsgiToAsgi(hello, executor=pool), WsgiToAsgi(hello, executor=pool)
    lifespan = Lifespan(first)
    await lifespan.ask("startup")
    await get(first)
    await lifespan.ask("shutdown")
    assert (await get(second))[0]["status"] == 200
    assert second.stats() == pool.stats()
    pool.shutdown()
    assert (await get(second))[0]["status"] == 503


async def test_any_executor_of_threads_will_do() -> None:
    names: list[str] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        names.append(threading.current_thread().name)
        return hello(environ, start_response)

    with ThreadPoolExecutor(1, thread_name_prefix="mine") as executor:
        assert (await get(to_asgi(app, executor=executor)))[0]["status"] == 200
    assert names == ["mine_0"]


async def test_a_request_of_a_client_that_left_while_it_waited_never_starts() -> None:
    inside, leave = threading.Event(), threading.Event()
    started: list[str] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        started.append(environ["PATH_INFO"])
        inside.set()
        leave.wait(DEADLINE_S)
        return hello(environ, start_response)

    adapter = WsgiToAsgi(app, threads=1)
    first = asyncio.create_task(get(adapter, path="/first"))
    await asyncio.to_thread(inside.wait, DEADLINE_S)
    second = asyncio.create_task(get(adapter, path="/second"))
    while not adapter.stats().waiting:
        await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    leave.set()
    await first
    await get(adapter, path="/third")
    assert started == ["/first", "/third"]


async def test_an_unknown_scope_type_is_the_servers_fault() -> None:
    with pytest.raises(ServerProtocolError, match="'telepathy'"):
        await get(WsgiToAsgi(hello), type="telepathy")


def test_a_loop_that_is_not_asyncio_is_named() -> None:
    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None: ...

    coroutine = WsgiToAsgi(hello)(http_scope(), receive, send)
    with pytest.raises(ServerProtocolError, match="asyncio or uvloop, not trio"):
        coroutine.__await__().send(None)


async def test_a_server_that_never_stops_sending_body_does_not_block_the_loop() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"one"
        yield b"two"

    for _ in range(20):  # whether the listener starts at all depends on the threads
        sent = await get(WsgiToAsgi(app))
        assert b"".join(message.get("body", b"") for message in sent) == b"onetwo"


async def test_an_end_that_comes_while_the_loop_polls_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rule 7 of bodies: the worker ends between the loop's poll and its take."""
    monkeypatch.setattr("bridge.wsgi_to_asgi.bodies.QUICK_S", 3600.0)  # it would poll once more
    loop = asyncio.get_running_loop()
    sent: list[Message] = []

    class LateThreadSide(ThreadSide):
        """Ends in the very moment in which the loop has seen that it has not."""

        @property
        def done(self) -> bool:
            if len(sent) > 1 and not self.ended:
                self.ended = self.is_done = True
                self.body.flush()
                return False
            return self.is_done

        @done.setter
        def done(self, value: bool) -> None:
            self.is_done = value

        is_done = False

    async def send(message: Message) -> None:
        sent.append(message)
        if message.get("body") == b"one":
            exchange.write(b"two")

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    options, inbox = WsgiToAsgi(hello).options, inbox_of(loop)
    response = ResponseBody(inbox, options.response_window)
    request = LoopSide(receive, send, inbox, response, options)
    exchange = LateThreadSide(hello, {}, http_scope(), loop, response)
    exchange.start_response("200 OK", [])
    exchange.write(b"one")
    async with asyncio.timeout(DEADLINE_S):
        await request.respond(exchange)
    assert [message.get("more_body") for message in sent] == [None, True, False]


@pytest.mark.parametrize(("size", "pieces"), [(BIG_BYTES, 3), (BIG_BYTES - 1, 1)])
async def test_only_small_chunks_that_wait_are_joined(size: int, pieces: int) -> None:
    """ADR 8: to copy a big one costs more than a message of its own."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("the response is complete at once")

    loop = asyncio.get_running_loop()
    options, inbox = WsgiToAsgi(hello).options, inbox_of(loop)
    response = ResponseBody(inbox, options.response_window)
    request = LoopSide(receive, send, inbox, response, options)
    exchange = ThreadSide(hello, {}, http_scope(), loop, response)
    exchange.start_response("200 OK", [])
    for letter in (b"a", b"b", b"c"):  # on this thread, so all of them wait
        exchange.write(letter * size)
    exchange.ended = exchange.done = True
    async with asyncio.timeout(DEADLINE_S):
        await request.respond(exchange)

    bodies = sent[1:]
    assert b"".join(body["body"] for body in bodies) == b"a" * size + b"b" * size + b"c" * size
    assert [body["more_body"] for body in bodies] == [True] * (pieces - 1) + [False]


@pytest.mark.parametrize(("window", "block"), [(65536, 65536), (131072, 131072), (10**6, 262144)])
async def test_a_file_is_read_in_blocks_of_the_window_at_most(window: int, block: int) -> None:
    asked: list[int] = []

    class File:
        left = 10**6

        def read(self, size: int) -> bytes:
            asked.append(size)
            size = min(size, self.left)
            self.left -= size
            return b"x" * size

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](File())
        return wrapped

    async def receive() -> Message:
        return first.pop() if first else await asyncio.Event().wait()  # type: ignore[return-value]  # never ends

    async def send(message: Message) -> None:
        sent.append(message)

    first: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]
    sent: list[Message] = []
    async with asyncio.timeout(DEADLINE_S):
        await WsgiToAsgi(app, response_window=window)(http_scope(), receive, send)
    assert sum(len(message.get("body", b"")) for message in sent) == 10**6
    assert set(asked) == {block}
