"""``WsgiToAsgi``: wakeups, threads, memory and lifespan."""

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
from bridge.errors import PoolClosed, ServerProtocolError
from bridge.types import AsgiApp, Environ, Message, StartResponse
from bridge.wsgi_to_asgi.bodies import BIG_BYTES, ResponseBody
from bridge.wsgi_to_asgi.loop_side import LoopSide
from bridge.wsgi_to_asgi.rests import Rests
from bridge.wsgi_to_asgi.thread_side import ThreadSide
from tests.harness.asgi import http_scope
from tests.harness.builds import frees_at_once

DEADLINE_S = 30


def hello(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello, ", b"world!"]


async def get(app: AsgiApp, **scope: Any) -> list[Message]:
    """Send one GET request like a minimal server. Returns the messages of the app."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await asyncio.wait_for(app(http_scope(**scope), receive, send), DEADLINE_S)
    return sent


class Lifespan:
    """Runs the lifespan of an app like a server."""

    def __init__(self, app: AsgiApp) -> None:
        self.sent: asyncio.Queue[Message] = asyncio.Queue()
        self.received: asyncio.Queue[Message] = asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}}
        self.task = asyncio.ensure_future(app(scope, self.received.get, self.sent.put))

    async def run(self, phase: str) -> str:
        await self.received.put({"type": f"lifespan.{phase}"})
        message = await asyncio.wait_for(self.sent.get(), DEADLINE_S)
        return str(message["type"])


async def test_a_small_response_wakes_the_loop_once() -> None:
    app = WsgiToAsgi(hello, threads=4)
    await get(app)
    inbox = inbox_of(asyncio.get_running_loop())
    before, completed = inbox.wakeups, app.stats().completed
    for _ in range(100):
        start, body = await get(app)
        assert (start["status"], body["body"]) == (200, b"Hello, world!")
        assert body["more_body"] is False
    assert inbox.wakeups - before == 100
    assert app.stats().completed - completed >= 99  # the last request may not be counted yet


async def test_sequential_requests_use_one_thread() -> None:
    app = WsgiToAsgi(hello, threads=10)
    for _ in range(20):
        await get(app)
        while app.stats().idle < app.stats().threads:  # the worker is idle shortly after its job
            await asyncio.sleep(0)
    assert app.stats().threads == 1


@frees_at_once
async def test_a_finished_request_is_freed_without_garbage_collection() -> None:
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
            while len(freed) < 2:  # the worker frees the job after it has notified the loop
                await asyncio.sleep(0)
    finally:
        gc.enable()


async def test_no_thread_starts_before_the_first_request() -> None:
    before = set(threading.enumerate())
    app = WsgiToAsgi(hello)
    assert app.stats().threads == 0
    assert set(threading.enumerate()) <= before


async def test_garbage_collected_adapters_leave_no_thread() -> None:
    names = {thread.name for thread in threading.enumerate()}
    for _ in range(100):
        await get(WsgiToAsgi(hello))
    gc.collect()
    workers = [t for t in threading.enumerate() if t.name not in names and "worker" in t.name]
    for thread in workers:
        await asyncio.to_thread(thread.join, DEADLINE_S)
        assert not thread.is_alive()


async def test_startup_completes_at_once_and_shutdown_ends_the_threads() -> None:
    app = WsgiToAsgi(hello, threads=2)
    lifespan = Lifespan(app)
    assert await lifespan.run("startup") == "lifespan.startup.complete"
    before = set(threading.enumerate())
    await get(app)
    workers = [t for t in set(threading.enumerate()) - before if "bridge-worker" in t.name]
    assert workers
    assert await lifespan.run("shutdown") == "lifespan.shutdown.complete"
    await lifespan.task
    for worker in workers:
        await asyncio.to_thread(worker.join, DEADLINE_S)
    assert app.stats().threads == 0


async def test_an_adapter_can_run_two_lifespans() -> None:
    app = WsgiToAsgi(hello)
    for _ in range(2):
        lifespan = Lifespan(app)
        await lifespan.run("startup")
        assert (await get(app))[0]["status"] == 200
        await lifespan.run("shutdown")


async def test_shutdown_waits_for_running_requests(caplog: pytest.LogCaptureFixture) -> None:
    started, release = threading.Event(), threading.Event()

    def slow(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        started.set()
        release.wait(DEADLINE_S)
        return hello(environ, start_response)

    app = WsgiToAsgi(slow)
    lifespan = Lifespan(app)
    await lifespan.run("startup")
    request = asyncio.create_task(get(app))
    await asyncio.to_thread(started.wait, DEADLINE_S)
    shutdown = asyncio.create_task(lifespan.run("shutdown"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not shutdown.done()
    release.set()
    assert await shutdown == "lifespan.shutdown.complete"
    assert (await request)[0]["status"] == 200
    assert caplog.records == []


async def test_shutdown_stops_waiting_after_shutdown_timeout_s(
    caplog: pytest.LogCaptureFixture,
) -> None:
    started, release = threading.Event(), threading.Event()

    def stuck(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        started.set()
        release.wait(DEADLINE_S)
        return hello(environ, start_response)

    app = WsgiToAsgi(stuck, shutdown_timeout_s=0.01)
    lifespan = Lifespan(app)
    await lifespan.run("startup")
    request = asyncio.create_task(get(app))
    await asyncio.to_thread(started.wait, DEADLINE_S)
    assert await lifespan.run("shutdown") == "lifespan.shutdown.complete"
    assert "1 requests still run after shutdown_timeout_s=0.01" in caplog.text
    release.set()
    await request


async def test_shutdown_waits_for_requests_and_websockets_at_the_same_time() -> None:
    """One after the other would take ``shutdown_timeout_s`` twice."""
    app = WsgiToAsgi(hello, websocket_threads=1)
    lifespan = Lifespan(app)
    await lifespan.run("startup")
    await get(app)
    of_requests = app._pool
    assert isinstance(of_requests, WorkerPool)
    assert app._websockets is not None
    release = threading.Event()
    app._websockets.pool.submit(release.wait, DEADLINE_S)

    shutdown = asyncio.create_task(lifespan.run("shutdown"))
    for _ in range(5):
        await asyncio.sleep(0)

    assert not shutdown.done()
    with pytest.raises(PoolClosed):
        of_requests.submit(int)
    release.set()
    assert await shutdown == "lifespan.shutdown.complete"


async def test_shutdown_does_not_stop_a_shared_pool() -> None:
    pool = WorkerPool(2, name="shared")
    first, second = WsgiToAsgi(hello, executor=pool), WsgiToAsgi(hello, executor=pool)
    lifespan = Lifespan(first)
    await lifespan.run("startup")
    await get(first)
    await lifespan.run("shutdown")
    assert (await get(second))[0]["status"] == 200
    assert second.stats() == pool.stats()
    pool.shutdown()
    assert (await get(second))[0]["status"] == 503


async def test_an_app_can_run_on_any_thread_executor() -> None:
    names: list[str] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        names.append(threading.current_thread().name)
        return hello(environ, start_response)

    with ThreadPoolExecutor(1, thread_name_prefix="mine") as executor:
        assert (await get(to_asgi(app, executor=executor)))[0]["status"] == 200
    assert names == ["mine_0"]


async def test_a_request_cancelled_in_the_backlog_never_starts() -> None:
    started, release = threading.Event(), threading.Event()
    paths: list[str] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        paths.append(environ["PATH_INFO"])
        started.set()
        release.wait(DEADLINE_S)
        return hello(environ, start_response)

    adapter = WsgiToAsgi(app, threads=1)
    first = asyncio.create_task(get(adapter, path="/first"))
    await asyncio.to_thread(started.wait, DEADLINE_S)
    second = asyncio.create_task(get(adapter, path="/second"))
    while not adapter.stats().waiting:
        await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    release.set()
    await first
    await get(adapter, path="/third")
    assert paths == ["/first", "/third"]


async def test_an_unknown_scope_type_is_a_server_protocol_error() -> None:
    with pytest.raises(ServerProtocolError, match="'telepathy'"):
        await get(WsgiToAsgi(hello), type="telepathy")


def test_another_event_loop_is_named_in_the_error() -> None:
    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None: ...

    coroutine = WsgiToAsgi(hello)(http_scope(), receive, send)
    with pytest.raises(ServerProtocolError, match="asyncio or uvloop, not trio"):
        coroutine.__await__().send(None)


async def test_a_receive_that_always_returns_body_does_not_block_the_loop() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"one"
        yield b"two"

    for _ in range(20):  # whether the loop starts to listen at all depends on timing
        sent = await get(WsgiToAsgi(app))
        assert b"".join(message.get("body", b"") for message in sent) == b"onetwo"


async def test_an_end_during_a_poll_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rule 7 of bodies: the worker ends between the loop's ``poll()`` and its ``take()``."""
    monkeypatch.setattr(
        "bridge.wsgi_to_asgi.bodies.BURST_S", 3600.0
    )  # otherwise it would poll once more
    loop = asyncio.get_running_loop()
    sent: list[Message] = []

    class LateThreadSide(ThreadSide):
        """Ends just after the loop has read ``done`` as False."""

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
            thread_side.write(b"two")

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    options, inbox = WsgiToAsgi(hello).options, inbox_of(loop)
    response = ResponseBody(inbox, options.response_window)
    loop_side = LoopSide(receive, send, inbox, response, options)
    thread_side = LateThreadSide(hello, {}, http_scope(), loop, response, strict=False)
    thread_side.start_response("200 OK", [])
    thread_side.write(b"one")
    async with asyncio.timeout(DEADLINE_S):
        await loop_side.respond(thread_side, Rests(1))
    assert [message.get("more_body") for message in sent] == [None, True, False]


@pytest.mark.parametrize(("size", "pieces"), [(BIG_BYTES, 3), (BIG_BYTES - 1, 1)])
async def test_only_small_waiting_chunks_are_joined(size: int, pieces: int) -> None:
    """ADR 8: copying a big chunk costs more than another message."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("the response is complete at once")

    loop = asyncio.get_running_loop()
    options, inbox = WsgiToAsgi(hello).options, inbox_of(loop)
    response = ResponseBody(inbox, options.response_window)
    loop_side = LoopSide(receive, send, inbox, response, options)
    thread_side = ThreadSide(hello, {}, http_scope(), loop, response, strict=False)
    thread_side.start_response("200 OK", [])
    for letter in (b"a", b"b", b"c"):  # on the loop's thread, so all of them wait
        thread_side.write(letter * size)
    thread_side.ended = thread_side.done = True
    async with asyncio.timeout(DEADLINE_S):
        await loop_side.respond(thread_side, Rests(1))

    bodies = sent[1:]
    assert b"".join(body["body"] for body in bodies) == b"a" * size + b"b" * size + b"c" * size
    assert [body["more_body"] for body in bodies] == [True] * (pieces - 1) + [False]


@pytest.mark.parametrize(("window", "block"), [(65536, 65536), (131072, 131072), (10**6, 262144)])
async def test_a_file_is_read_in_blocks_of_at_most_the_window(window: int, block: int) -> None:
    sizes: list[int] = []

    class File:
        remaining = 10**6

        def read(self, size: int) -> bytes:
            sizes.append(size)
            size = min(size, self.remaining)
            self.remaining -= size
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
    assert set(sizes) == {block}
