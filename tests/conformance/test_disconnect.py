"""Clients that leave, in both ways that a server has to say so, and tasks that are cancelled."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar

import pytest

from bridge._threads import pool as pool_module
from bridge.errors import ClientDisconnected
from bridge.types import Environ, Message, StartResponse
from tests.apps.wsgi_routes import PLAIN
from tests.conformance.conftest import Bridged
from tests.harness.asgi import Exchange, SendAfterDisconnect, body_message, call, http_scope

Logged = Callable[[], list[str]]
BOTH: list[SendAfterDisconnect] = ["raises", "silent"]
WAIT_S = 10.0
user: ContextVar[str] = ContextVar("user", default="-")


class Endless:
    """Chunks for ever, as fast as they are taken; remembers how it was closed."""

    def __init__(self) -> None:
        self.threads: set[int] = set()
        self.closed = threading.Event()
        self.closed_on: int | None = None
        self.closed_as = ""
        self.closings = 0

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
        self.closings += 1
        self.closed_on = threading.get_ident()
        self.closed_as = user.get()
        self.closed.set()


class Held:
    """An app that says when it is inside, and waits there until it may go on."""

    def __init__(self) -> None:
        self.inside, self.go_on = threading.Event(), threading.Event()
        self.paths: list[str] = []

    def app(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        self.paths.append(environ["PATH_INFO"])
        self.inside.set()
        assert self.go_on.wait(WAIT_S)
        start_response("200 OK", PLAIN)
        return [b"ok"]


async def turns_of_the_loop() -> None:
    """Let what is ready run: more turns than any message needs on its way through the adapter."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize("send_after_disconnect", BOTH)
def test_close_runs_once_on_the_iterating_thread(
    bridged: Bridged, logged: Logged, send_after_disconnect: SendAfterDisconnect
) -> None:
    body = Endless()

    async def run() -> None:
        async with Exchange(
            bridged(body.app), http_scope(), send_after_disconnect=send_after_disconnect
        ) as exchange:
            exchange.feed()
            await exchange.wait_for_body(1000)
            exchange.disconnect()
            await exchange.wait()

    asyncio.run(run())
    assert body.closed.is_set()
    assert body.threads == {body.closed_on}
    assert body.closed_as == "the app"
    assert body.closings == 1
    assert logged() == []


@pytest.mark.parametrize("send_after_disconnect", BOTH)
def test_leaving_wakes_an_app_that_waits_for_the_window(
    bridged: Bridged, send_after_disconnect: SendAfterDisconnect
) -> None:
    body = Endless()

    async def run() -> None:
        adapter = bridged(body.app, response_window=100)
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
def test_a_quiet_app_is_stopped_at_its_next_chunk(
    bridged: Bridged, send_after_disconnect: SendAfterDisconnect
) -> None:
    """The app is busy between chunks; the client has left when the next one comes."""
    go_on = threading.Event()
    made: list[bytes] = []
    closed: list[bool] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        try:
            for chunk in (b"first", b"second", b"third"):
                made.append(chunk)
                yield chunk
                assert go_on.wait(WAIT_S)
        finally:
            closed.append(True)

    async def run() -> None:
        async with Exchange(
            bridged(app), http_scope(), send_after_disconnect=send_after_disconnect
        ) as exchange:
            exchange.feed()
            await exchange.wait_for_body(5)
            exchange.disconnect()
            await turns_of_the_loop()
            go_on.set()
            await exchange.wait()

    asyncio.run(run())
    assert closed == [True]
    assert made in ([b"first"], [b"first", b"second"])


@pytest.mark.parametrize("send_after_disconnect", BOTH)
def test_write_raises_once_the_client_has_left(
    bridged: Bridged, logged: Logged, send_after_disconnect: SendAfterDisconnect
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
            bridged(app), http_scope(), send_after_disconnect=send_after_disconnect
        ) as exchange:
            exchange.feed()
            await exchange.wait_for_body(1000)
            exchange.disconnect()
            await exchange.wait()

    asyncio.run(run())
    assert raised.is_set()
    assert logged() == []


@pytest.mark.parametrize("send_after_disconnect", BOTH)
def test_ten_times_as_many_disconnects_as_threads_cost_no_thread(
    bridged: Bridged, send_after_disconnect: SendAfterDisconnect
) -> None:
    threads = 4
    bodies: list[Endless] = []
    together = threading.Barrier(threads)

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/together":
            together.wait(WAIT_S)
            start_response("200 OK", PLAIN)
            return [b"all inside"]
        bodies.append(Endless())
        return bodies[-1].app(environ, start_response)

    adapter = bridged(app, threads=threads)

    async def leave_one() -> None:
        async with Exchange(
            adapter, http_scope(), send_after_disconnect=send_after_disconnect
        ) as exchange:
            exchange.feed()
            await exchange.wait_for_body(100)
            exchange.disconnect()
            await exchange.wait()

    async def ask_one() -> bytes:
        async with Exchange(adapter, http_scope(path="/together")) as exchange:
            exchange.feed()
            return (await exchange.response()).body

    async def run() -> list[bytes]:
        for _ in range(10):
            await asyncio.gather(*(leave_one() for _ in range(threads)))
        return await asyncio.gather(*(ask_one() for _ in range(threads)))

    assert asyncio.run(run()) == [b"all inside"] * threads
    assert len(bodies) == 10 * threads
    assert all(body.closed.is_set() for body in bodies)
    assert adapter.stats().threads <= threads


def test_a_client_that_leaves_before_its_turn_never_reaches_the_app(bridged: Bridged) -> None:
    held = Held()

    async def run() -> None:
        adapter = bridged(held.app, threads=1)
        async with Exchange(adapter, http_scope(path="/first")) as first:
            first.feed()
            assert await asyncio.to_thread(held.inside.wait, WAIT_S)
            async with Exchange(adapter, http_scope(path="/second")) as second:
                second.feed(b"part", more=True)  # a body is still coming, so leaving is noticed
                await turns_of_the_loop()
                second.disconnect()
                await turns_of_the_loop()
                held.go_on.set()
                await second.wait()
                assert second.sent == []
            await first.response()

    asyncio.run(run())
    assert held.paths == ["/first"]


def test_a_client_that_leaves_while_it_waits_for_long_never_reaches_the_app(
    bridged: Bridged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its request is complete, so nothing but its long wait makes the adapter listen."""
    monkeypatch.setattr(pool_module, "REMIND_S", 0.01)
    held = Held()

    def is_listening(count: int) -> bool:
        return [task.get_name() for task in asyncio.all_tasks()].count("bridge-receive") == count

    async def run() -> None:
        adapter = bridged(held.app, threads=1)
        async with Exchange(adapter, http_scope(path="/first")) as first:
            first.feed()
            assert await asyncio.to_thread(held.inside.wait, WAIT_S)
            async with Exchange(adapter, http_scope(path="/second")) as second:
                second.feed()
                async with asyncio.timeout(WAIT_S):
                    while not is_listening(1):
                        await asyncio.sleep(0.001)
                    second.disconnect()
                    while not is_listening(0):
                        await asyncio.sleep(0.001)
                held.go_on.set()
                await second.wait()
            await first.response()

    asyncio.run(run())
    assert held.paths == ["/first"]


def test_a_refused_request_leaves_no_task(bridged: Bridged) -> None:
    held = Held()

    async def run() -> list[Message]:
        messages = iter([body_message(b"part", more=True)])
        sent: list[Message] = []

        async def receive() -> Message:
            for message in messages:
                return message
            return await asyncio.Future()  # the client takes its time

        async def send(message: Message) -> None:
            sent.append(message)

        adapter = bridged(held.app, threads=1, backlog=1)
        async with (
            Exchange(adapter, http_scope()) as first,
            Exchange(adapter, http_scope()) as second,
        ):
            first.feed()
            assert await asyncio.to_thread(held.inside.wait, WAIT_S)
            second.feed()
            await turns_of_the_loop()
            await adapter(http_scope("POST"), receive, send)
            await turns_of_the_loop()
            assert "bridge-receive" not in [task.get_name() for task in asyncio.all_tasks()]
            held.go_on.set()
            await second.response()
        return sent

    assert asyncio.run(run())[0]["status"] == 503


def test_an_error_after_the_server_gave_up_is_logged(bridged: Bridged, logged: Logged) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        inside.set()
        assert go_on.wait(WAIT_S)
        raise ValueError("nobody waits for this")

    async def run() -> None:
        async with Exchange(bridged(app), http_scope()) as exchange:
            exchange.feed()
            assert await asyncio.to_thread(inside.wait, WAIT_S)
            exchange.task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await exchange.wait()
            assert logged() == []
            go_on.set()
            async with asyncio.timeout(WAIT_S):
                while not logged():
                    await asyncio.sleep(0.001)

    asyncio.run(run())
    (line,) = logged()
    assert "the app failed after the server had given up" in line


def test_reading_on_after_the_request_is_over_raises(bridged: Bridged) -> None:
    """A thread of the app's own, that has outlived the request."""
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
        async with Exchange(bridged(app), http_scope("POST")) as exchange:
            exchange.feed(b"part", more=True)
            await exchange.response()
            await asyncio.to_thread(threads[0].join, WAIT_S)

    asyncio.run(run())
    assert outcome == ["the request is over"]


def test_a_cancelled_task_closes_the_iterator(bridged: Bridged) -> None:
    """A server that shuts down cancels its tasks; the thread must not go on for ever."""
    body = Endless()

    async def run() -> None:
        async with Exchange(bridged(body.app), http_scope()) as exchange:
            exchange.feed()
            await exchange.wait_for_body(1000)
            exchange.task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await exchange.wait()
        assert await asyncio.to_thread(body.closed.wait, WAIT_S)

    asyncio.run(run())
    assert body.threads == {body.closed_on}


def test_a_cancelled_task_wakes_an_app_that_reads_its_body(bridged: Bridged) -> None:
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
        async with Exchange(bridged(app), http_scope("POST")) as exchange:
            exchange.feed(b"part", more=True)
            assert await asyncio.to_thread(reading.wait, WAIT_S)
            exchange.task.cancel()
            assert await asyncio.to_thread(woken.wait, WAIT_S)

    asyncio.run(run())


def test_a_server_error_in_send_is_the_servers_own(bridged: Bridged) -> None:
    """What is no disconnect is not swallowed as one: the iterator is closed, and it goes up."""
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
            await asyncio.wait_for(bridged(body.app)(http_scope(), receive, send), WAIT_S)
        assert await asyncio.to_thread(body.closed.wait, WAIT_S)

    asyncio.run(run())


def test_a_client_that_left_before_the_app_began_is_no_error(bridged: Bridged) -> None:
    async def run() -> Exchange:
        async with Exchange(bridged(Endless().app), http_scope()) as exchange:
            exchange.disconnect()
            await exchange.wait()
        return exchange

    assert asyncio.run(run()).sent == []


@pytest.mark.parametrize("send_after_disconnect", BOTH)
def test_a_finished_response_is_not_disturbed_by_leaving(
    bridged: Bridged, logged: Logged, send_after_disconnect: SendAfterDisconnect
) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", PLAIN)
        return [b"whole"]

    assert call(bridged(app), http_scope()).body == b"whole"
    assert logged() == []
