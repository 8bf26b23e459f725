"""Request bodies that arrive slowly: what is read before a thread is taken, and for how long."""

from __future__ import annotations

import asyncio
import io
import socket
import threading
import tracemalloc
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bridge
from bridge.types import Environ, Message, Receive, StartResponse
from tests.apps.wsgi_routes import PLAIN
from tests.conformance.conftest import ToAsgi
from tests.harness.asgi import Exchange, body_message, call, http_scope, lifespan, raw_headers

WAIT_S = 15.0
SHORT_S = 0.05
"""A timeout that has to pass: the tests wait for what follows from it."""
CLIENTS = 60

Logged = Callable[[], list[str]]


class Recorder:
    """An app that reads its whole body, and records how each call of it ended."""

    def __init__(self) -> None:
        self.called = 0
        self.environs: list[Environ] = []
        self.bodies: list[bytes] = []
        self.errors: list[BaseException] = []
        self.ended = threading.Event()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        self.called += 1
        self.environs.append(environ)
        try:
            self.bodies.append(environ["wsgi.input"].read())
        except BaseException as error:
            self.errors.append(error)
            raise
        finally:
            self.ended.set()
        start_response("200 OK", PLAIN)
        return [b"%d" % len(self.bodies[-1])]


def post(length: int | None = None, *fields: tuple[str, str], **scope: Any) -> Any:
    sized = [] if length is None else [("content-length", str(length))]
    return http_scope("POST", headers=raw_headers(*sized, *fields), **scope)


async def status_of(adapter: bridge.WsgiToAsgi, receive: Receive, scope: Any) -> int:
    """The status of the response to a request whose body comes from ``receive``."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await adapter(scope, receive, send)
    return int(sent[0]["status"])


async def until_idle() -> None:
    """Let the adapter take every message that is there."""
    for _ in range(50):
        await asyncio.sleep(0)


# -- before a thread is taken ----------------------------------------------------------------------


def test_clients_that_send_one_byte_take_no_thread(to_asgi: ToAsgi) -> None:
    app = Recorder()

    async def run() -> None:
        adapter = to_asgi(app)
        exchanges = [Exchange(adapter, post(2)) for _ in range(CLIENTS)]
        for exchange in exchanges:
            await exchange.__aenter__()
            exchange.feed(b"a", more=True)
        await until_idle()
        stats = adapter.stats()
        assert (stats.threads, stats.running, stats.waiting) == (0, 0, 0)
        assert app.called == 0
        for exchange in exchanges:
            exchange.feed(b"b")
        assert [(await exchange.response()).body for exchange in exchanges] == [b"2"] * CLIENTS

    asyncio.run(run())
    assert app.bodies == [b"ab"] * CLIENTS


@pytest.mark.parametrize("sized", [True, False])
def test_a_body_that_ends_in_the_buffer_is_a_bytes_io_with_its_length(
    to_asgi: ToAsgi, sized: bool
) -> None:
    app = Recorder()

    response = call(to_asgi(app), post(6 if sized else None), b"one", b"", b"two", b"")

    assert response.status == 200
    assert app.bodies == [b"onetwo"]
    assert type(app.environs[0]["wsgi.input"]) is io.BytesIO
    assert app.environs[0]["CONTENT_LENGTH"] == "6"


@pytest.mark.parametrize(
    ("pieces", "runs"),
    [
        ([b"x" * 9], False),
        ([b"x" * 10], True),
        ([b"x" * 11], True),
        ([b"x" * 4, b"x" * 5], False),
        ([b"x" * 4, b"x" * 6], True),
        ([b"", b""], False),
    ],
)
def test_the_app_runs_once_the_buffer_is_full(
    to_asgi: ToAsgi, pieces: list[bytes], runs: bool
) -> None:
    called = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        called.set()
        start_response("200 OK", PLAIN)
        return [environ["wsgi.input"].read()]

    async def run() -> bytes:
        adapter = to_asgi(app, buffer_request_bytes=10)
        async with Exchange(adapter, post()) as exchange:
            for piece in pieces:
                exchange.feed(piece, more=True)
            await until_idle()
            if runs:
                assert await asyncio.to_thread(called.wait, WAIT_S)
            else:
                assert adapter.stats().threads == 0
            exchange.feed(b"rest")
            return (await exchange.response()).body

    assert asyncio.run(run()) == b"".join(pieces) + b"rest"


@pytest.mark.parametrize("size", [0, 1])
def test_without_a_buffer_an_app_reads_and_answers_by_turns(to_asgi: ToAsgi, size: int) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        while question := environ["wsgi.input"].read1(100):
            yield question.upper()

    async def run() -> None:
        async with Exchange(to_asgi(app, buffer_request_bytes=size), post()) as exchange:
            for number, question in enumerate([b"one", b"two", b"six"]):
                exchange.feed(question, more=True)
                answered = await exchange.wait_for_body(3 * (number + 1))
                assert answered.endswith(question.upper())
            exchange.feed()
            await exchange.response()

    asyncio.run(run())


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts the timers for more than ten seconds."""

    long_timers = 0

    def call_at(  # type: ignore[override]  # typeshed has a TypeVarTuple here
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> Any:
        self.long_timers += when - self.time() > 10
        return super().call_at(when, callback, *args, context=context)


def serve_in_counting_loop(
    adapter: bridge.WsgiToAsgi, scope: Any, messages: list[Message], *, waits: bool
) -> int:
    """The number of long timers, and no tasks, that twenty requests need.

    :param waits: whether ``receive`` waits for a moment each time, as granian's does.
    """

    async def run() -> None:
        tasks = len(asyncio.all_tasks())

        async def send(message: Message) -> None:
            assert len(asyncio.all_tasks()) == tasks

        for _ in range(20):
            left = iter(messages)

            async def receive(left: Iterator[Message] = left) -> Message:
                if waits:
                    await asyncio.sleep(0)
                return next(left)

            await adapter(scope, receive, send)

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        loop = runner.get_loop()
        runner.run(run())
        assert isinstance(loop, CountingLoop)
        return loop.long_timers


@pytest.mark.parametrize(
    ("pieces", "waits", "timers"),
    [([b"ab"], False, 0), ([b"a", b"b"], False, 0), ([b"ab"], True, 1), ([b"a", b"b"], True, 1)],
)
def test_a_body_that_is_there_needs_no_task_and_no_timer_of_its_own(
    to_asgi: ToAsgi, pieces: list[bytes], waits: bool, timers: int
) -> None:
    app = Recorder()
    *first, last = pieces
    messages = [*(body_message(piece, more=True) for piece in first), body_message(last)]

    assert serve_in_counting_loop(to_asgi(app), post(2), messages, waits=waits) == timers
    assert app.bodies == [b"ab"] * 20


def test_a_request_that_announces_no_body_needs_no_timer(to_asgi: ToAsgi) -> None:
    messages = [body_message()]

    assert serve_in_counting_loop(to_asgi(Recorder()), http_scope(), messages, waits=True) == 0


def test_a_disconnect_before_the_app_runs_means_that_it_never_does(
    to_asgi: ToAsgi, logged: Logged
) -> None:
    app = Recorder()

    async def run() -> None:
        adapter = to_asgi(app, backlog=1)
        for _ in range(3):  # each has the place that the one before has left
            async with Exchange(adapter, post(10)) as exchange:
                exchange.feed(b"part", more=True)
                await until_idle()
                exchange.disconnect()
                await exchange.wait()
            assert exchange.sent == []
        assert len(asyncio.all_tasks()) == 1
        assert adapter.stats().threads == 0

    asyncio.run(run())
    assert app.called == 0
    assert logged() == []


def test_a_request_that_the_server_cancels_before_the_app_runs_is_dropped(
    to_asgi: ToAsgi, logged: Logged
) -> None:
    """A server does so at shutdown."""
    app = Recorder()

    async def run() -> None:
        adapter = to_asgi(app)
        for pieces in ([], [b"part"]):
            async with Exchange(adapter, post(10)) as exchange:
                for piece in pieces:
                    exchange.feed(piece, more=True)
                await until_idle()
                exchange.task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await exchange.wait()
        async with lifespan(adapter):
            pass

    asyncio.run(run())
    assert app.called == 0
    assert logged() == []


# -- how many bodies -------------------------------------------------------------------------------


def test_as_many_bodies_are_read_at_once_as_requests_may_run_and_wait(
    to_asgi: ToAsgi, logged: Logged
) -> None:
    """The memory for them is bounded. Requests that need no buffer are served."""

    async def run() -> None:
        adapter = to_asgi(Recorder(), threads=1, backlog=1)
        async with (
            Exchange(adapter, post(2)) as first,
            Exchange(adapter, post(2)) as second,
            Exchange(adapter, post(2)) as third,
        ):
            for exchange in (first, second, third):
                exchange.feed(b"a", more=True)
                await until_idle()
            refused = await third.response()
            assert (refused.status, refused.header("retry-after")) == (503, "1")
            async with Exchange(adapter, post(1)) as whole:
                whole.feed(b"a")
                assert (await whole.response()).status == 200
            second.feed(b"b")
            assert (await second.response()).status == 200
            async with Exchange(adapter, post(2)) as fourth:
                fourth.feed(b"a", more=True)
                await until_idle()
                fourth.feed(b"b")
                assert (await fourth.response()).status == 200

    asyncio.run(run())
    (line,) = logged()
    assert "2 other requests are still arriving (threads=1, backlog=1)" in line


def test_with_an_executor_as_many_bodies_are_read_at_once_as_requests_may_wait(
    logged: Logged,
) -> None:
    async def run() -> None:
        with ThreadPoolExecutor(4) as executor:
            adapter = bridge.WsgiToAsgi(Recorder(), executor=executor, backlog=1)
            async with Exchange(adapter, post(2)) as first, Exchange(adapter, post(2)) as second:
                for exchange in (first, second):
                    exchange.feed(b"a", more=True)
                    await until_idle()
                assert (await second.response()).status == 503
                first.feed(b"b")
                assert (await first.response()).status == 200

    asyncio.run(run())
    (line,) = logged()
    assert "1 other requests are still arriving (threads=unknown, backlog=1)" in line


def test_a_buffer_of_tiny_messages_takes_no_more_memory_than_its_bytes(to_asgi: ToAsgi) -> None:
    size = 60_000
    taken: list[int] = []

    async def run() -> None:
        pieces = iter(range(size // 2))

        async def receive() -> Message:
            for number in pieces:
                return body_message(number.to_bytes(2, "big"), more=True)
            taken.append(tracemalloc.get_traced_memory()[0] - before)
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            raise AssertionError("unreachable")

        adapter = to_asgi(Recorder())
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        await adapter(post(), receive, send)

    try:
        asyncio.run(run())
    finally:
        tracemalloc.stop()
    assert size <= taken[0] < 3 * size


def test_a_full_backlog_refuses_a_request_when_its_body_is_there(to_asgi: ToAsgi) -> None:
    """Before, it needs no thread; and there may be one when it does."""
    started, release = threading.Event(), threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        started.set()
        assert release.wait(WAIT_S)
        start_response("200 OK", PLAIN)
        return [environ["wsgi.input"].read()]

    async def run() -> None:
        adapter = to_asgi(app, threads=1, backlog=1)
        async with (
            Exchange(adapter, http_scope()) as running,
            Exchange(adapter, http_scope()) as waiting,
            Exchange(adapter, post(2)) as slow,
        ):
            slow.feed(b"a", more=True)
            running.feed()
            assert await asyncio.to_thread(started.wait, WAIT_S)
            waiting.feed()
            await until_idle()
            assert slow.sent == []
            slow.feed(b"b")
            assert (await slow.response()).status == 503
            release.set()
            assert (await waiting.response()).status == 200

    asyncio.run(run())


# -- Expect: 100-continue --------------------------------------------------------------------------


ASKING = post(12, ("expect", "100-continue"))


class Asked:
    """A ``receive`` that records whether it was called: then a server sends 100."""

    def __init__(self) -> None:
        self.calls = 0
        self.body = asyncio.Event()

    async def __call__(self) -> Message:
        self.calls += 1
        await self.body.wait()
        return body_message(b"x" * 12)


def test_half_of_the_threads_are_kept_from_clients_that_wait_to_be_asked(to_asgi: ToAsgi) -> None:
    app = Recorder()

    async def run() -> None:
        adapter = to_asgi(app, threads=4)
        clients = [Asked() for _ in range(CLIENTS)]
        tasks = [asyncio.ensure_future(status_of(adapter, client, ASKING)) for client in clients]
        async with asyncio.timeout(WAIT_S):
            while not all(client.calls for client in clients):
                await asyncio.sleep(0)
        stats = adapter.stats()
        assert stats.running + stats.waiting == 2
        for client in clients:
            client.body.set()
        assert await asyncio.gather(*tasks) == [200] * CLIENTS

    asyncio.run(run())
    assert app.bodies == [b"x" * 12] * CLIENTS


@pytest.mark.parametrize(
    ("options", "asked"),
    [({"threads": 1}, 1), ({"threads": 2}, 0), ({"threads": 1, "buffer_request_bytes": 0}, 0)],
)
def test_an_app_can_refuse_before_the_client_is_asked_if_a_thread_can_be_spared(
    to_asgi: ToAsgi, options: dict[str, int], asked: int
) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("413 Content Too Large", PLAIN)
        return [b"no, thanks"]

    async def run() -> None:
        client = Asked()
        client.body.set()
        assert await status_of(to_asgi(app, **options), client, ASKING) == 413
        assert client.calls == asked

    asyncio.run(run())


def test_with_an_executor_the_client_is_asked_first() -> None:
    """How many threads it has is not known."""
    app = Recorder()

    async def run() -> None:
        client = Asked()
        with ThreadPoolExecutor(1) as executor:
            task = asyncio.ensure_future(
                status_of(bridge.WsgiToAsgi(app, executor=executor), client, ASKING)
            )
            async with asyncio.timeout(WAIT_S):
                while not client.calls:
                    await asyncio.sleep(0)
            assert app.called == 0
            client.body.set()
            assert await task == 200

    asyncio.run(run())


# -- timeouts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 100])
def test_a_client_that_has_gone_by_the_time_of_the_408_is_no_error(
    to_asgi: ToAsgi, logged: Logged, size: int
) -> None:
    """A server may report that by ``send`` only."""
    sent: list[str] = []

    async def run() -> None:
        messages = iter([body_message(b"part", more=True)])

        async def receive() -> Message:
            for message in messages:
                return message
            return await asyncio.Future()  # neither more of the body nor a disconnect

        async def send(message: Message) -> None:
            sent.append(message["type"])
            raise OSError("the client has disconnected")

        adapter = to_asgi(Recorder(), body_timeout_s=SHORT_S, buffer_request_bytes=size)
        await adapter(post(10), receive, send)

    asyncio.run(run())
    assert sent == ["http.response.start"]
    assert logged() == []


@pytest.mark.parametrize(("version", "closes"), [("1.1", "close"), ("1.0", "close"), ("2", None)])
@pytest.mark.parametrize("pieces", [[], [b"a"], [b"a", b"b"]])
def test_a_body_that_stops_before_the_app_runs_is_answered_with_408(
    to_asgi: ToAsgi, logged: Logged, pieces: list[bytes], version: str, closes: str | None
) -> None:
    app = Recorder()

    async def run() -> None:
        adapter = to_asgi(app, body_timeout_s=SHORT_S, backlog=1)
        for _ in range(2):  # the second has the place of the first
            async with Exchange(adapter, post(10, http_version=version)) as exchange:
                for piece in pieces:
                    exchange.feed(piece, more=True)
                response = await exchange.response()
            assert (response.status, response.header("connection")) == (408, closes)
        assert adapter.stats().threads == 0
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())
    assert app.called == 0
    assert logged() == []


def test_waits_that_begin_one_after_another_end_one_after_another(to_asgi: ToAsgi) -> None:
    """One timer is enough for them, also if the oldest have ended in the meantime."""
    ended: list[int] = []

    async def run() -> None:
        adapter = to_asgi(Recorder(), body_timeout_s=20 * SHORT_S)

        async def upload(number: int) -> int:
            async with Exchange(adapter, post(2)) as exchange:
                exchange.feed(b"a", more=True)
                if number == 0:
                    await asyncio.sleep(SHORT_S)
                    exchange.feed(b"b")
                status = (await exchange.response()).status
            ended.append(number)
            return status

        tasks = []
        for number in range(4):
            tasks.append(asyncio.ensure_future(upload(number)))
            await asyncio.sleep(SHORT_S / 2)
        assert await asyncio.gather(*tasks) == [200, 408, 408, 408]

    asyncio.run(run())
    assert ended == [0, 1, 2, 3]


@pytest.mark.parametrize("options", [{"buffer_request_bytes": 0}, {"buffer_request_bytes": 4}])
def test_a_read_that_waits_too_long_raises_and_the_client_gets_408(
    to_asgi: ToAsgi, logged: Logged, options: dict[str, int]
) -> None:
    app = Recorder()

    async def run() -> None:
        adapter = to_asgi(app, body_timeout_s=SHORT_S, threads=1, **options)
        async with Exchange(adapter, post(10)) as exchange:
            exchange.feed(b"part", more=True)
            response = await exchange.response()
        assert (response.status, response.header("connection")) == (408, "close")
        async with Exchange(adapter, post(3)) as after:
            after.feed(b"all")
            assert (await after.response()).body == b"3"

    asyncio.run(run())
    (error,) = app.errors
    assert type(error) is bridge.BodyTimeout
    assert isinstance(error, bridge.ClientDisconnected)
    assert app.bodies == [b"all"]
    assert logged() == []


def test_an_app_that_was_asked_for_the_body_and_gets_none_frees_its_thread(to_asgi: ToAsgi) -> None:
    app = Recorder()

    async def run() -> None:
        assert await status_of(to_asgi(app, body_timeout_s=SHORT_S), Asked(), ASKING) == 408

    asyncio.run(run())
    assert [type(error) for error in app.errors] == [bridge.BodyTimeout]


def test_what_the_app_answers_to_a_timeout_is_dropped(to_asgi: ToAsgi, logged: Logged) -> None:
    """Django makes it a 500, Flask a 400."""
    ended = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        source = environ["wsgi.input"]
        with pytest.raises(bridge.BodyTimeout):
            source.read()
        with pytest.raises(bridge.BodyTimeout):
            source.read(1)
        ended.set()
        start_response("500 Internal Server Error", PLAIN)
        return [b"a page of an error"]

    async def run() -> None:
        adapter = to_asgi(app, body_timeout_s=SHORT_S, buffer_request_bytes=0)
        async with Exchange(adapter, post(10)) as exchange:
            exchange.feed(b"part", more=True)
            assert (await exchange.response()).status == 408

    asyncio.run(run())
    assert ended.is_set()
    assert logged() == []


@pytest.mark.parametrize("continues", [True, False])
def test_a_response_that_has_begun_continues_as_the_app_decides(
    to_asgi: ToAsgi, continues: bool
) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b"begun"
        try:
            environ["wsgi.input"].read()
        except bridge.BodyTimeout:
            if not continues:
                raise
        yield b", and ended"

    async def run() -> list[Message]:
        adapter = to_asgi(app, body_timeout_s=SHORT_S, buffer_request_bytes=0)
        async with Exchange(adapter, post(10)) as exchange:
            exchange.feed(b"part", more=True)
            if continues:
                assert (await exchange.response()).body == b"begun, and ended"
            else:
                with pytest.raises(bridge.BodyTimeout):  # the server aborts the response
                    await exchange.wait()
        return exchange.sent

    sent = asyncio.run(run())
    assert sent[0]["status"] == 200
    assert sent[-1]["more_body"] is not continues


def test_what_arrives_after_a_timeout_is_dropped(to_asgi: ToAsgi) -> None:
    """No later read continues where one has raised."""
    timed_out, release = threading.Event(), threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b"begun"
        with pytest.raises(bridge.BodyTimeout):
            environ["wsgi.input"].read()
        timed_out.set()
        assert release.wait(WAIT_S)
        with pytest.raises(bridge.BodyTimeout):
            environ["wsgi.input"].read(1)
        yield b", and ended"

    async def run() -> None:
        adapter = to_asgi(app, body_timeout_s=SHORT_S, buffer_request_bytes=0)
        async with Exchange(adapter, post(10)) as exchange:
            exchange.feed(b"part", more=True)
            assert await asyncio.to_thread(timed_out.wait, WAIT_S)
            exchange.feed(b"rest")
            await until_idle()
            release.set()
            assert (await exchange.response()).body == b"begun, and ended"

    asyncio.run(run())


def test_an_app_that_does_not_read_is_no_timeout_of_the_client(to_asgi: ToAsgi) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        threading.Event().wait(4 * SHORT_S)  # works for longer than the timeout
        start_response("200 OK", PLAIN)
        return [environ["wsgi.input"].read(4)]

    async def run() -> None:
        adapter = to_asgi(app, body_timeout_s=SHORT_S, buffer_request_bytes=4)
        async with Exchange(adapter, post(8)) as exchange:
            exchange.feed(b"half", more=True)
            assert (await exchange.response()).body == b"half"

    asyncio.run(run())


@pytest.mark.parametrize("size", [0, 100])
def test_a_body_that_arrives_while_the_loop_is_blocked_is_in_time(
    to_asgi: ToAsgi, size: int
) -> None:
    """The loop learns of it late, but the client has sent it."""
    app = Recorder()
    timeout_s = 0.5

    async def run() -> None:
        ours, clients = socket.socketpair()
        ours.setblocking(False)
        first = iter([body_message(b"a", more=True)])

        async def receive() -> Message:
            for message in first:
                return message
            loop = asyncio.get_running_loop()
            loop.call_soon(block)  # once this waits
            data = await loop.sock_recv(ours, 100)
            return body_message(data)

        def block() -> None:
            clients.send(b"b")
            threading.Event().wait(1.3 * timeout_s)

        with ours, clients:
            adapter = to_asgi(app, buffer_request_bytes=size, body_timeout_s=timeout_s)
            assert await status_of(adapter, receive, post()) == 200

    asyncio.run(run())
    assert app.bodies == [b"ab"]


@pytest.mark.parametrize("timeout_s", [1e12, float("inf")])
@pytest.mark.parametrize("size", [0, 100])
def test_a_timeout_may_be_longer_than_a_lock_can_wait(
    to_asgi: ToAsgi, size: int, timeout_s: float
) -> None:
    app = Recorder()

    async def run() -> None:
        adapter = to_asgi(app, body_timeout_s=timeout_s, buffer_request_bytes=size)
        async with Exchange(adapter, post(2)) as exchange:
            exchange.feed(b"a", more=True)
            await until_idle()
            exchange.feed(b"b")
            assert (await exchange.response()).body == b"2"

    asyncio.run(run())


@pytest.mark.parametrize("size", [0, 100])
def test_without_a_timeout_a_body_may_take_any_time(to_asgi: ToAsgi, size: int) -> None:
    app = Recorder()

    async def run() -> None:
        adapter = to_asgi(app, body_timeout_s=None, buffer_request_bytes=size)
        async with Exchange(adapter, post(2)) as exchange:
            exchange.feed(b"a", more=True)
            await asyncio.sleep(4 * SHORT_S)  # nothing ends the wait
            exchange.feed(b"b")
            assert (await exchange.response()).body == b"2"

    asyncio.run(run())


@pytest.mark.parametrize("size", [0, 100])
@pytest.mark.parametrize(
    "make", [bridge.universal, lambda app, **o: bridge.Router({"/": app}, **o)]
)
def test_routers_and_universal_apps_take_the_same_options(make: Any, size: int) -> None:
    app = Recorder()

    async def run() -> None:
        router = make(app, body_timeout_s=SHORT_S, buffer_request_bytes=size)
        async with lifespan(router), Exchange(router, post(10)) as exchange:
            exchange.feed(b"part", more=True)
            assert (await exchange.response()).status == 408

    asyncio.run(run())
    assert app.called == (size == 0)


# -- what receive() may return ---------------------------------------------------------------------


class Bare:
    """An awaitable without ``send`` and ``throw``, as extension modules make them."""

    def __init__(self, future: asyncio.Future[Message]) -> None:
        self._future = future
        self._steps: Any = None

    def __await__(self) -> Bare:
        self._steps = self._future.__await__()
        return self

    def __iter__(self) -> Bare:
        return self

    def __next__(self) -> Any:
        return next(self._steps)


@pytest.mark.parametrize("ends", ["at once", "later", "too late"])
@pytest.mark.parametrize("kind", [lambda future: future, Bare], ids=["Future", "Bare"])
def test_receive_may_return_any_awaitable(
    to_asgi: ToAsgi,
    kind: Callable[[asyncio.Future[Message]], Awaitable[Message]],
    ends: str,
) -> None:
    app = Recorder()

    async def run() -> int:
        loop = asyncio.get_running_loop()

        def receive() -> Awaitable[Message]:
            future: asyncio.Future[Message] = loop.create_future()
            if ends == "later":
                loop.call_soon(future.set_result, body_message(b"body"))
            elif ends == "at once":
                future.set_result(body_message(b"body"))
            return kind(future)

        timeout_s = SHORT_S if ends == "too late" else WAIT_S
        return await status_of(to_asgi(app, body_timeout_s=timeout_s), receive, post(4))

    assert asyncio.run(run()) == (408 if ends == "too late" else 200)
    assert app.bodies == ([] if ends == "too late" else [b"body"])


def test_a_receive_that_cleans_up_when_it_is_cancelled_can_do_so(to_asgi: ToAsgi) -> None:
    cleaned_up: list[str] = []

    async def receive() -> Message:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            cleaned_up.append("cancelled")
            raise
        raise AssertionError("unreachable")

    adapter = to_asgi(Recorder(), body_timeout_s=SHORT_S)
    assert asyncio.run(status_of(adapter, receive, post(4))) == 408
    assert cleaned_up == ["cancelled"]


def test_a_message_that_comes_with_the_cancellation_is_used(to_asgi: ToAsgi) -> None:
    """A ``receive`` may end its wait with the message that has just come."""

    async def receive() -> Message:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
        return body_message(b"body")

    adapter = to_asgi(Recorder(), body_timeout_s=SHORT_S)
    assert asyncio.run(status_of(adapter, receive, post(4))) == 200


@pytest.mark.parametrize("waits", [True, False])
def test_an_error_of_receive_is_raised_to_the_server(to_asgi: ToAsgi, waits: bool) -> None:
    """Also a ``TimeoutError``, which is not ours."""

    async def receive() -> Message:
        if waits:
            await asyncio.sleep(0)
        raise TimeoutError("of the server")

    with pytest.raises(TimeoutError, match="of the server"):
        asyncio.run(status_of(to_asgi(Recorder()), receive, post(4)))


# -- the same stream, wherever it is split ---------------------------------------------------------

READS: st.SearchStrategy[tuple[str, int]] = st.one_of(
    st.tuples(st.just("read"), st.integers(0, 9)),
    st.tuples(st.just("read1"), st.integers(1, 9)),
    st.tuples(st.just("readline"), st.integers(-1, 9)),
    st.tuples(st.just("readlines"), st.just(-1)),
    st.tuples(st.just("next"), st.just(0)),
)


def perform(stream: Any, reads: list[tuple[str, int]]) -> list[Any]:
    """The results of some reads, and of reading the rest."""
    results: list[Any] = []
    for name, size in reads:
        if name == "next":
            results.append(next(stream, b""))
        elif name == "read1":  # may return less, wherever the body is split
            results.append(b"".join(exactly(stream, size)))
        else:
            results.append(getattr(stream, name)(size))
    return [*results, stream.read(), stream.read(1)]


def exactly(stream: Any, size: int) -> Generator[bytes, None, None]:
    while size and (data := stream.read1(size)):
        size -= len(data)
        yield data


@given(
    pieces=st.lists(st.binary(max_size=6) | st.sampled_from([b"\n", b"a\nb\n"]), max_size=8),
    reads=st.lists(READS, max_size=6),
    buffer=st.integers(0, 20),
    window=st.integers(1, 20),
    sized=st.booleans(),
)
def test_the_input_reads_as_one_stream_across_the_buffer(
    pieces: list[bytes], reads: list[tuple[str, int]], buffer: int, window: int, sized: bool
) -> None:
    whole = b"".join(pieces)
    results: list[list[Any]] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        results.append(perform(environ["wsgi.input"], reads))
        start_response("200 OK", PLAIN)
        return [b""]

    with bridge.WorkerPool(1) as pool:
        adapter = bridge.WsgiToAsgi(
            app, executor=pool, buffer_request_bytes=buffer, body_window=window
        )
        call(adapter, post(len(whole) if sized else None), *pieces)

    assert results == [perform(io.BytesIO(whole), reads)]
