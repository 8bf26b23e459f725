"""Disconnects, for servers whose ``send`` raises and servers whose does not, and cancellation."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar

import pytest

from bridge._threads import reminder
from bridge.errors import ClientDisconnected
from bridge.types import Environ, Message, StartResponse
from tests.apps.wsgi_routes import PLAIN
from tests.conformance.conftest import ToAsgi
from tests.harness.asgi import Exchange, SendAfterDisconnect, body_message, call, http_scope

Logged = Callable[[], list[str]]
BOTH: list[SendAfterDisconnect] = ["raises", "silent"]
WAIT_S = 10.0
user: ContextVar[str] = ContextVar("user", default="-")


class Endless:
    """An endless iterable that records how it is closed."""

    def __init__(self) -> None:
        self.threads: set[int] = set()
        self.closed = threading.Event()
        self.closed_on: int | None = None
        self.user_at_close = ""
        self.close_count = 0

    def app(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        user.set("the app")
        start_response("200 OK", PLAIN)
        return self

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self.threads.add(threading.get_ident())
        return b"tick" * 25

    def close(self) -> None:
        self.close_count += 1
        self.closed_on = threading.get_ident()
        self.user_at_close = user.get()
        self.closed.set()


class BlockedApp:
    """An app that waits for ``release``."""

    def __init__(self) -> None:
        self.started, self.release = threading.Event(), threading.Event()
        self.paths: list[str] = []

    def app(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        self.paths.append(environ["PATH_INFO"])
        self.started.set()
        assert self.release.wait(WAIT_S)
        start_response("200 OK", PLAIN)
        return [b"ok"]


async def run_ready_callbacks() -> None:
    """Iterate the loop often enough for a message to pass through the adapter."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize("send_after_disconnect", BOTH)
def test_a_disconnect_closes_the_iterable_once_on_its_thread(
    to_asgi: ToAsgi, logged: Logged, send_after_disconnect: SendAfterDisconnect
) -> None:
    body = Endless()

    async def run() -> None:
        async with Exchange(
            to_asgi(body.app), http_scope(), send_after_disconnect=send_after_disconnect
        ) as exchange:
            exchange.feed()
            await exchange.wait_for_body(1000)
            exchange.disconnect()
            await exchange.wait()

    asyncio.run(run())
    assert body.closed.is_set()
    assert body.threads == {body.closed_on}
    assert body.user_at_close == "the app"
    assert body.close_count == 1
    assert logged() == []


@pytest.mark.parametrize("send_after_disconnect", BOTH)
def test_a_disconnect_wakes_an_app_that_waits_for_the_window(
    to_asgi: ToAsgi, send_after_disconnect: SendAfterDisconnect
) -> None:
    body = Endless()

    async def run() -> None:
        adapter = to_asgi(body.app, response_window=100)
        async with Exchange(
            adapter, http_scope(), send_after_disconnect=send_after_disconnect
        ) as exchange:
            exchange.feed()
            await exchange.wait_for_body(100)
            exchange.pause_reading()
            exchange.disconnect()
            await exchange.wait()

    asyncio.run(run())
    assert body.closed.is_set()


@pytest.mark.parametrize("send_after_disconnect", BOTH)
def test_a_disconnect_ends_a_busy_app_at_its_next_chunk(
    to_asgi: ToAsgi, send_after_disconnect: SendAfterDisconnect
) -> None:
    """The client disconnects while the app is busy between two chunks."""
    release = threading.Event()
    made: list[bytes] = []
    closed: list[bool] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        try:
            for chunk in (b"first", b"second", b"third"):
                made.append(chunk)
                yield chunk
                assert release.wait(WAIT_S)
        finally:
            closed.append(True)

    async def run() -> None:
        async with Exchange(
            to_asgi(app), http_scope(), send_after_disconnect=send_after_disconnect
        ) as exchange:
            exchange.feed()
            await exchange.wait_for_body(5)
            exchange.disconnect()
            await run_ready_callbacks()
            release.set()
            await exchange.wait()

    asyncio.run(run())
    assert closed == [True]
    assert made in ([b"first"], [b"first", b"second"])


@pytest.mark.parametrize("send_after_disconnect", BOTH)
def test_write_raises_after_a_disconnect(
    to_asgi: ToAsgi, logged: Logged, send_after_disconnect: SendAfterDisconnect
) -> None:
    raised = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", PLAIN)
        try:
            while True:
                write(b"tick" * 25)
        except ClientDisconnected:
            raised.set()
            raise

    async def run() -> None:
        async with Exchange(
            to_asgi(app), http_scope(), send_after_disconnect=send_after_disconnect
        ) as exchange:
            exchange.feed()
            await exchange.wait_for_body(1000)
            exchange.disconnect()
            await exchange.wait()

    asyncio.run(run())
    assert raised.is_set()
    assert logged() == []


@pytest.mark.parametrize("send_after_disconnect", BOTH)
def test_many_disconnects_lose_no_thread(
    to_asgi: ToAsgi, send_after_disconnect: SendAfterDisconnect
) -> None:
    threads = 4
    bodies: list[Endless] = []
    barrier = threading.Barrier(threads)

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/wait":
            barrier.wait(WAIT_S)
            start_response("200 OK", PLAIN)
            return [b"all inside"]
        bodies.append(Endless())
        return bodies[-1].app(environ, start_response)

    adapter = to_asgi(app, threads=threads)

    async def disconnect_one() -> None:
        async with Exchange(
            adapter, http_scope(), send_after_disconnect=send_after_disconnect
        ) as exchange:
            exchange.feed()
            await exchange.wait_for_body(100)
            exchange.disconnect()
            await exchange.wait()

    async def request_one() -> bytes:
        async with Exchange(adapter, http_scope(path="/wait")) as exchange:
            exchange.feed()
            return (await exchange.response()).body

    async def run() -> list[bytes]:
        for _ in range(10):
            await asyncio.gather(*(disconnect_one() for _ in range(threads)))
        return await asyncio.gather(*(request_one() for _ in range(threads)))

    assert asyncio.run(run()) == [b"all inside"] * threads
    assert len(bodies) == 10 * threads
    assert all(body.closed.is_set() for body in bodies)
    assert adapter.stats().threads <= threads


def test_a_disconnect_in_the_backlog_skips_the_app(to_asgi: ToAsgi) -> None:
    blocked = BlockedApp()

    async def run() -> None:
        adapter = to_asgi(blocked.app, threads=1)
        async with Exchange(adapter, http_scope(path="/first")) as first:
            first.feed()
            assert await asyncio.to_thread(blocked.started.wait, WAIT_S)
            async with Exchange(adapter, http_scope(path="/second")) as second:
                second.feed(b"part", more=True)  # incomplete, so the adapter listens
                await run_ready_callbacks()
                second.disconnect()
                await run_ready_callbacks()
                blocked.release.set()
                await second.wait()
                assert second.sent == []
            await first.response()

    asyncio.run(run())
    assert blocked.paths == ["/first"]


def test_a_disconnect_after_a_long_wait_in_the_backlog_skips_the_app(
    to_asgi: ToAsgi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request is complete: the adapter listens only because it waits long."""
    monkeypatch.setattr(reminder, "REMIND_S", 0.01)
    blocked = BlockedApp()

    def is_listening(count: int) -> bool:
        return [task.get_name() for task in asyncio.all_tasks()].count("bridge-receive") == count

    async def run() -> None:
        adapter = to_asgi(blocked.app, threads=1)
        async with Exchange(adapter, http_scope(path="/first")) as first:
            first.feed()
            assert await asyncio.to_thread(blocked.started.wait, WAIT_S)
            async with Exchange(adapter, http_scope(path="/second")) as second:
                second.feed()
                async with asyncio.timeout(WAIT_S):
                    while not is_listening(1):
                        await asyncio.sleep(0.001)
                    second.disconnect()
                    while not is_listening(0):
                        await asyncio.sleep(0.001)
                blocked.release.set()
                await second.wait()
            await first.response()

    asyncio.run(run())
    assert blocked.paths == ["/first"]


def test_a_refused_request_leaves_no_task(to_asgi: ToAsgi) -> None:
    blocked = BlockedApp()

    async def run() -> list[Message]:
        messages = iter([body_message(b"part", more=True)])
        sent: list[Message] = []

        async def receive() -> Message:
            for message in messages:
                return message
            return await asyncio.Future()  # the client sends nothing more

        async def send(message: Message) -> None:
            sent.append(message)

        adapter = to_asgi(blocked.app, threads=1, backlog=1, buffer_request_bytes=0)
        async with (
            Exchange(adapter, http_scope()) as first,
            Exchange(adapter, http_scope()) as second,
        ):
            first.feed()
            assert await asyncio.to_thread(blocked.started.wait, WAIT_S)
            second.feed()
            await run_ready_callbacks()
            await adapter(http_scope("POST"), receive, send)
            await run_ready_callbacks()
            assert "bridge-receive" not in [task.get_name() for task in asyncio.all_tasks()]
            blocked.release.set()
            await second.response()
        return sent

    assert asyncio.run(run())[0]["status"] == 503


def test_an_exception_after_the_server_cancelled_the_request_is_logged(
    to_asgi: ToAsgi, logged: Logged
) -> None:
    started, release = threading.Event(), threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        started.set()
        assert release.wait(WAIT_S)
        raise ValueError("the request was cancelled")

    async def run() -> None:
        async with Exchange(to_asgi(app), http_scope()) as exchange:
            exchange.feed()
            assert await asyncio.to_thread(started.wait, WAIT_S)
            exchange.task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await exchange.wait()
            assert logged() == []
            release.set()
            async with asyncio.timeout(WAIT_S):
                while not logged():
                    await asyncio.sleep(0.001)

    asyncio.run(run())
    (line,) = logged()
    assert "the app failed after the server had given up" in line


def test_reading_the_body_after_the_request_raises(to_asgi: ToAsgi) -> None:
    """A thread of the app may outlive the request."""
    outcome: list[str] = []
    threads: list[threading.Thread] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        def read() -> None:
            try:
                environ["wsgi.input"].read()
            except ClientDisconnected as error:
                outcome.append(str(error))

        threads.append(threading.Thread(target=read))
        threads[0].start()
        start_response("200 OK", PLAIN)
        return [b"ok"]

    async def run() -> None:
        async with Exchange(to_asgi(app, buffer_request_bytes=0), http_scope("POST")) as exchange:
            exchange.feed(b"part", more=True)
            await exchange.response()
            await asyncio.to_thread(threads[0].join, WAIT_S)

    asyncio.run(run())
    assert outcome == ["the request is over"]


def test_cancelling_the_task_closes_the_iterable(to_asgi: ToAsgi) -> None:
    """A server cancels its tasks at shutdown, and the thread must not run forever."""
    body = Endless()

    async def run() -> None:
        async with Exchange(to_asgi(body.app), http_scope()) as exchange:
            exchange.feed()
            await exchange.wait_for_body(1000)
            exchange.task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await exchange.wait()
        assert await asyncio.to_thread(body.closed.wait, WAIT_S)

    asyncio.run(run())
    assert body.threads == {body.closed_on}


def test_cancelling_the_task_wakes_an_app_that_reads(to_asgi: ToAsgi) -> None:
    reading, woken = threading.Event(), threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        source = environ["wsgi.input"]
        source.read(4)
        reading.set()
        try:
            source.read(1)
        except ClientDisconnected:
            woken.set()
            raise
        return []

    async def run() -> None:
        async with Exchange(to_asgi(app, buffer_request_bytes=0), http_scope("POST")) as exchange:
            exchange.feed(b"part", more=True)
            assert await asyncio.to_thread(reading.wait, WAIT_S)
            exchange.task.cancel()
            assert await asyncio.to_thread(woken.wait, WAIT_S)

    asyncio.run(run())


def test_an_exception_of_send_is_raised_to_the_server(to_asgi: ToAsgi) -> None:
    """It is not a disconnect: the iterable is closed and the exception propagates."""
    body = Endless()

    async def run() -> None:
        async def receive() -> dict[str, object]:
            if not received:
                received.append(1)
                return {"type": "http.request", "body": b"", "more_body": False}
            await asyncio.Event().wait()
            raise AssertionError("unreachable")

        async def send(message: object) -> None:
            raise ValueError("the server refuses this message")

        received: list[int] = []
        with pytest.raises(ValueError, match="refuses"):
            await asyncio.wait_for(to_asgi(body.app)(http_scope(), receive, send), WAIT_S)
        assert await asyncio.to_thread(body.closed.wait, WAIT_S)

    asyncio.run(run())


def test_a_disconnect_before_the_app_starts_is_not_an_error(to_asgi: ToAsgi) -> None:
    async def run() -> Exchange:
        async with Exchange(to_asgi(Endless().app), http_scope()) as exchange:
            exchange.disconnect()
            await exchange.wait()
        return exchange

    assert asyncio.run(run()).sent == []


@pytest.mark.parametrize("send_after_disconnect", BOTH)
def test_a_disconnect_after_the_response_changes_nothing(
    to_asgi: ToAsgi, logged: Logged, send_after_disconnect: SendAfterDisconnect
) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", PLAIN)
        return [b"whole"]

    assert call(to_asgi(app), http_scope()).body == b"whole"
    assert logged() == []
