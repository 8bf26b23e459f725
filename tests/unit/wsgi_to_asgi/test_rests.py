"""What a worker thread leaves of a response: a file here, since that needs no framework."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import subprocess
import sys
import threading
import weakref
from asyncio import CancelledError
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from contextvars import copy_context
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Any

import pytest

from bridge import WsgiToAsgi
from bridge._http.sendfile import reads_on_any_thread
from bridge.types import Environ, Message, StartResponse
from bridge.wsgi_to_asgi import thread_side
from bridge.wsgi_to_asgi.rest import Rest, Threads, Write, until_done
from bridge.wsgi_to_asgi.rest_side import PAUSE_EVERY, send_rest
from bridge.wsgi_to_asgi.rests import Rests
from tests.harness.asgi import http_scope
from tests.harness.builds import frees_at_once
from tests.unit.wsgi_to_asgi.test_adapter import DEADLINE_S, Lifespan, get

SIZE = 2**20
user: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="nobody")


class Marker:
    pass


class Site:
    """A WSGI app with a file, and what happens to it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.path = folder / "file"
        self.path.write_bytes(bytes(SIZE))
        self.closed: list[tuple[str, str]] = []
        self.freed: list[str] = []
        self.app = WsgiToAsgi(self, **options)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        user.set(environ["PATH_INFO"])
        start_response("200 OK", [("Content-Type", "text/plain")])
        wrapper: Any = environ["wsgi.file_wrapper"](self.path.open("rb"))
        close = wrapper.close
        environ["test.marker"] = marker = Marker()
        weakref.finalize(marker, self.freed.append, "environ")
        weakref.finalize(wrapper, self.freed.append, "file")

        def close_and_note() -> None:
            thread = threading.current_thread().name.rstrip("0123456789")
            self.closed.append((user.get(), thread))
            close()

        wrapper.close = close_and_note
        result: Iterable[bytes] = wrapper
        return result


class Client:
    """A client that does not read until it is let go on."""

    def __init__(self, app: WsgiToAsgi, path: str) -> None:
        self.received = 0
        self.asked = False
        self.reads = asyncio.Event()
        self.stalls = asyncio.Event()
        self.leaves = asyncio.Event()
        self.task = asyncio.ensure_future(app(http_scope(path=path), self.receive, self.send))

    async def receive(self) -> Message:
        if not self.asked:
            self.asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.received += len(message.get("body", b""))
        if self.received:
            self.stalls.set()
            await self.reads.wait()


@pytest.fixture
def rests(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """The rests that have begun, each as what stops it."""
    begun: list[Callable[[], object]] = []
    start = Rests.start

    def starting(self: Rests, *args: Any, **options: Any) -> Any:
        begun.append(options["stop"])
        return start(self, *args, **options)

    monkeypatch.setattr(Rests, "start", starting)
    return begun


async def slow_client(site: Site, path: str, rests: list[Any]) -> Client:
    """A client whose file has been left to the loop."""
    before = len(rests)
    client = Client(site.app, path)
    async with asyncio.timeout(DEADLINE_S):
        await client.stalls.wait()
        while site.app.stats().running:
            await asyncio.sleep(0.001)  # polls: the thread waits 10 ms for the client
        client.reads.set()  # the loop has sent what the thread has written
        client.reads.clear()
        while len(rests) == before:
            await asyncio.sleep(0)
    return client


async def test_a_slow_client_of_a_file_gets_all_of_it(tmp_path: Path, rests: list[Any]) -> None:
    site = Site(tmp_path, threads=1, buffer_request_bytes=0)
    client = await slow_client(site, "/ann", rests)
    assert len(await get(site.app)) > 1  # the thread is free

    client.reads.set()
    await asyncio.wait_for(client.task, DEADLINE_S)

    assert client.received == SIZE
    assert ("/ann", "bridge-rest-") in site.closed


@frees_at_once
async def test_it_is_freed_without_garbage_collection(tmp_path: Path, rests: list[Any]) -> None:
    site = Site(tmp_path)
    gc.collect()
    gc.disable()
    try:
        client = await slow_client(site, "/ann", rests)
        rests.clear()
        client.reads.set()
        await asyncio.wait_for(client.task, DEADLINE_S)
        del client
        async with asyncio.timeout(DEADLINE_S):
            while len(site.freed) < 2:  # the thread frees its call after it has notified the loop
                await asyncio.sleep(0)
    finally:
        gc.enable()
    assert len(site.app._rests) == 0


async def test_a_server_that_cancels_waits_for_close(tmp_path: Path, rests: list[Any]) -> None:
    site = Site(tmp_path)
    client = await slow_client(site, "/ann", rests)

    client.task.cancel()
    with suppress(CancelledError):
        await asyncio.wait_for(client.task, DEADLINE_S)

    assert client.task.cancelled()
    assert site.closed == [("/ann", "bridge-rest-")]


async def test_a_client_that_leaves_ends_it(tmp_path: Path, rests: list[Any]) -> None:
    site = Site(tmp_path)
    client = await slow_client(site, "/ann", rests)

    client.leaves.set()
    await asyncio.wait_for(client.task, DEADLINE_S)

    assert site.closed == [("/ann", "bridge-rest-")]
    assert client.received < SIZE


async def test_a_rest_that_is_left_after_the_server_has_cancelled_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The app still ran on its thread then. Shutdown waits for ``close()``, too."""
    started, may_return = threading.Event(), threading.Event()
    steps: list[str] = []

    class Stream:
        streaming = True

        def __iter__(self) -> Iterator[bytes]:
            raise NotImplementedError

        def leave_thread(self) -> None:
            steps.append("left")

        async def send(self, write: Write, threads: Threads) -> None:
            steps.append("sent")

        def close(self) -> None:
            steps.append("closed")

    def site(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        started.set()
        may_return.wait(DEADLINE_S)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Stream()

    monkeypatch.setattr(thread_side, "stream_of", lambda result: result)
    app = WsgiToAsgi(site)
    lifespan = Lifespan(app)
    await lifespan.run("startup")
    request = asyncio.create_task(get(app))
    await asyncio.to_thread(started.wait, DEADLINE_S)

    request.cancel()
    with suppress(CancelledError):
        await request
    may_return.set()

    assert await lifespan.run("shutdown") == "lifespan.shutdown.complete"
    assert steps == ["left", "closed"]


async def test_a_disconnect_does_not_interrupt_the_release() -> None:
    """It would leave a database connection open, or close a file that a thread reads."""
    released = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(until_done(released))
    await asyncio.sleep(0)

    waiting.cancel()
    await asyncio.sleep(0)
    assert not waiting.done()
    released.set_result(None)

    with pytest.raises(CancelledError):
        await waiting
    assert not released.cancelled()


async def test_a_second_cancellation_does_not_interrupt_how_it_ends() -> None:
    """After a disconnect and by the server, for one."""
    began, ends, may_end, closed = (asyncio.Event() for _ in range(4))
    loop = asyncio.get_running_loop()
    cleaned: list[bool] = []

    async def sending() -> None:
        began.set()
        with suppress(CancelledError):
            try:
                await asyncio.Event().wait()
            finally:
                ends.set()
                await may_end.wait()
                cleaned.append(True)

    rests = Rests(1)
    rest = rests.start(
        sending(),
        copy_context(),
        close=lambda: loop.call_soon_threadsafe(closed.set),
        stop=lambda: None,
    )
    async with asyncio.timeout(DEADLINE_S):
        await began.wait()
        rest.cancel()
        await ends.wait()
        rest.cancel()
        await asyncio.sleep(0)
        may_end.set()
        await rest.ended
        await closed.wait()
    assert cleaned == [True]
    await rests.drain(0)


async def test_shutdown_stops_what_has_not_ended_in_time(
    tmp_path: Path, rests: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    site = Site(tmp_path, shutdown_timeout_s=0.05)
    lifespan = Lifespan(site.app)
    await lifespan.run("startup")
    client = await slow_client(site, "/ann", rests)

    assert await lifespan.run("shutdown") == "lifespan.shutdown.complete"

    await asyncio.wait_for(client.task, DEADLINE_S)
    assert site.closed == [("/ann", "bridge-rest-")]
    assert "1 responses are stopped: they have not ended in time" in caplog.text
    again = await slow_client(site, "/bob", rests)  # a server may start it once more
    again.reads.set()
    await asyncio.wait_for(again.task, DEADLINE_S)
    assert again.received == SIZE


async def test_a_full_backlog_does_not_stop_a_rest(tmp_path: Path, rests: list[Any]) -> None:
    """Of a response that has begun, nothing is refused."""
    site = Site(tmp_path, threads=1, backlog=1)
    client = await slow_client(site, "/ann", rests)
    held = threading.Event()
    pool = site.app._pool
    assert hasattr(pool, "submit")
    running = pool.submit(held.wait, DEADLINE_S)
    waiting = pool.submit(held.wait, DEADLINE_S)

    client.reads.set()
    await asyncio.wait_for(client.task, DEADLINE_S)

    assert client.received == SIZE
    held.set()
    assert running.result(DEADLINE_S)
    assert waiting.result(DEADLINE_S)


async def test_the_loop_runs_while_neither_the_iterator_nor_send_waits() -> None:
    turns = 0
    chunks = 3 * PAUSE_EVERY

    class Busy:
        def leave_thread(self) -> None:
            raise AssertionError

        async def send(self, write: Write, threads: Threads) -> None:
            for _ in range(chunks):
                await write(b"chunk")

    class Left:
        context = copy_context()
        rest: Rest | None = Busy()
        is_full = False
        errors: list[BaseException] = []  # noqa: RUF012

        def fit(self, chunk: bytes) -> bytes:
            return chunk

        def end(self) -> None:
            pass

        def add_error(self, error: BaseException) -> None:
            self.errors.append(error)

    class Sent:
        is_over = False
        count = 0

        async def start(self, head: Message) -> bool:
            return True

        async def send_body(self, body: bytes, *, ended: bool) -> bool:
            self.count += 1
            return True

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.ensure_future(other())
    sent = Sent()
    await send_rest(Left(), {}, sent, Rests(1), 100)
    beside.cancel()

    assert (sent.count, Left.errors) == (chunks + 1, [])
    assert turns >= 3


def test_only_files_on_a_disk_are_read_on_any_thread(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    with (tmp_path / "file").open("rb") as file:
        assert reads_on_any_thread(file)
    assert not reads_on_any_thread(file)  # closed

    class Own(FileIO):
        pass

    with BufferedReader(Own(str(tmp_path / "file"))) as wrapped, Own(wrapped.name) as own:
        assert reads_on_any_thread(wrapped)
        assert not reads_on_any_thread(own)
    with open("/dev/zero", "rb") as device:
        assert not reads_on_any_thread(device)


def test_a_library_may_import_django_without_settings() -> None:
    """There are no settings to find a database in, and no connection is open."""
    code = """
import django.db
from bridge._frameworks.django import release_connections
release_connections()
"""
    subprocess.run([sys.executable, "-c", code], timeout=60, check=True)
