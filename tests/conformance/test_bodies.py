"""Request and response bodies: windows, backpressure and truncated bodies."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import cast

import pytest

from bridge._threads.loop_inbox import LoopInbox
from bridge.errors import ClientDisconnected
from bridge.types import Environ, Message, StartResponse
from bridge.wsgi_to_asgi.bodies import RequestBody
from tests.apps import wsgi_conformance
from tests.apps.wsgi_routes import PLAIN
from tests.conformance.conftest import ToAsgi
from tests.harness.asgi import (
    Exchange,
    SendAfterDisconnect,
    body_message,
    call,
    call_async,
    http_scope,
    raw_headers,
)

WAIT_S = 10.0
WINDOW = 1000


def length_header(length: int) -> list[tuple[bytes, bytes]]:
    return raw_headers(("content-length", str(length)))


def test_a_body_in_one_message_is_a_bytes_io(to_asgi: ToAsgi) -> None:
    """It needs neither a hand-over between threads nor a lock."""
    kinds: list[type] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        kinds.append(type(environ["wsgi.input"]))
        start_response("200 OK", PLAIN)
        return [environ["wsgi.input"].read()]

    assert call(to_asgi(app), http_scope("POST"), b"body").body == b"body"
    assert kinds == [io.BytesIO]


def test_a_body_in_several_messages_is_a_buffered_reader(to_asgi: ToAsgi) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        source = environ["wsgi.input"]
        assert isinstance(source, io.BufferedReader)
        start_response("200 OK", PLAIN)
        return [source.readline(), source.peek(1)[:1], source.read1(2), source.read()]

    response = call(to_asgi(app, buffer_request_bytes=0), http_scope("POST"), b"line\nre", b"st")

    assert response.body == b"line\nrrest"


@pytest.mark.parametrize("pieces", [[b""], [b"", b""], [b"a"], [b"a", b""], [b"", b"a", b"", b"b"]])
@pytest.mark.parametrize("how", ["read-64k", "readline", "readlines", "iter", "read-all"])
def test_messages_of_any_size_read_as_one_body(
    to_asgi: ToAsgi, how: str, pieces: list[bytes]
) -> None:
    scope = http_scope("POST", "/upload", query=f"how={how}".encode())

    seen = call(to_asgi(wsgi_conformance.app), scope, *pieces).json()

    assert seen["length"] == len(b"".join(pieces))


def test_the_app_starts_before_the_body_ends(to_asgi: ToAsgi) -> None:
    started = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        first = environ["wsgi.input"].read(5)
        started.set()
        start_response("200 OK", PLAIN)
        return [first + environ["wsgi.input"].read()]

    async def run() -> bytes:
        async with Exchange(to_asgi(app, buffer_request_bytes=0), http_scope("POST")) as exchange:
            exchange.feed(b"first", more=True)
            assert await asyncio.to_thread(started.wait, WAIT_S)
            exchange.feed(b" and rest")
            return (await exchange.response()).body

    assert asyncio.run(run()) == b"first and rest"


def test_receive_is_not_called_beyond_the_window(to_asgi: ToAsgi) -> None:
    """The server's flow control pauses an endless upload that the app does not read."""
    release, enough = threading.Event(), 10 * WINDOW

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        assert release.wait(WAIT_S)
        start_response("200 OK", PLAIN)
        return [b"%d" % len(environ["wsgi.input"].read(enough))]

    async def run() -> None:
        taken = 0
        received_more = asyncio.Event()

        async def receive() -> Message:
            nonlocal taken
            taken += 100
            if taken > 2 * WINDOW:
                received_more.set()
            await asyncio.sleep(0)
            return body_message(b"x" * 100, more=True)

        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        adapter = to_asgi(app, body_window=WINDOW, buffer_request_bytes=0)
        task = asyncio.ensure_future(adapter(http_scope("POST"), receive, send))
        for _ in range(100):  # more iterations than the window has messages
            await asyncio.sleep(0)
        assert taken <= WINDOW + 200
        release.set()
        await asyncio.wait_for(task, WAIT_S)
        assert sent[-1]["body"] == b"%d" % enough
        assert received_more.is_set()

    asyncio.run(run())


@pytest.mark.parametrize("send_after_disconnect", ["raises", "silent"])
@pytest.mark.parametrize("declared", [True, False])
def test_a_truncated_body_raises_in_read(
    to_asgi: ToAsgi, send_after_disconnect: SendAfterDisconnect, declared: bool
) -> None:
    found: list[bytes | type[Exception]] = []
    started = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        source = environ["wsgi.input"]
        found.append(source.read(4))
        started.set()
        try:
            source.read(1)
        except ClientDisconnected as error:
            found.append(type(error))
            raise
        return []

    async def run() -> Exchange:
        headers = length_header(100) if declared else []
        scope = http_scope("POST", headers=headers)
        async with Exchange(
            to_asgi(app, buffer_request_bytes=0), scope, send_after_disconnect=send_after_disconnect
        ) as exchange:
            exchange.feed(b"part", more=True)
            assert await asyncio.to_thread(started.wait, WAIT_S)
            exchange.disconnect()
            await exchange.wait()  # a disconnect is not an error of the app
        return exchange

    assert asyncio.run(run()).sent == []
    assert found == [b"part", ClientDisconnected]


def test_a_body_shorter_than_its_content_length_raises_in_read(to_asgi: ToAsgi) -> None:
    """``more_body=False`` after 4 of 100 declared bytes is not a clean end."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        with pytest.raises(ClientDisconnected, match="4 of 100"):
            environ["wsgi.input"].read()
        start_response("400 Bad Request", PLAIN)
        return [b"cut short"]

    response = call(to_asgi(app), http_scope("POST", headers=length_header(100)), b"part")

    assert (response.status, response.body) == (400, b"cut short")


def test_further_reads_of_a_truncated_body_raise_again(to_asgi: ToAsgi) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        for _ in range(3):
            with pytest.raises(ClientDisconnected):
                environ["wsgi.input"].read(1000)
        start_response("200 OK", PLAIN)
        return [b"done"]

    response = call(to_asgi(app), http_scope("POST", headers=length_header(9)), b"p")

    assert response.body == b"done"


def test_reads_after_the_end_return_empty_bytes(to_asgi: ToAsgi) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        source = environ["wsgi.input"]
        found = [source.read(), source.read(), source.read(1), source.readline()]
        start_response("200 OK", PLAIN)
        return [repr(found).encode()]

    response = call(to_asgi(app), http_scope("POST"), b"a", b"b")

    assert response.body == repr([b"ab", b"", b"", b""]).encode()


def test_the_app_is_at_most_the_window_ahead(to_asgi: ToAsgi) -> None:
    """P3: a client that does not read pauses the app after ``response_window`` bytes."""
    made = 0
    stopped = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        nonlocal made
        start_response("200 OK", PLAIN)
        while not stopped.is_set():
            made += 100
            yield b"x" * 100

    async def run() -> None:
        async with Exchange(to_asgi(app, response_window=WINDOW), http_scope()) as exchange:
            exchange.pause_reading()
            exchange.feed()
            before = -1
            while made != before:  # until the thread pauses; a slow machine can end this too soon
                before = made
                await asyncio.sleep(0.05)
            assert 0 < made <= 2 * WINDOW + 200
            exchange.resume_reading()
            await exchange.wait_for_body(20 * WINDOW)
            stopped.set()
            await exchange.wait()

    asyncio.run(run())


def test_a_chunk_larger_than_the_window_is_split(to_asgi: ToAsgi) -> None:
    whole = bytes(range(256)) * 40

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", PLAIN)
        return iter([whole])

    async def run() -> Exchange:
        async with Exchange(to_asgi(app, response_window=WINDOW), http_scope()) as exchange:
            exchange.feed()
            await exchange.response()
        return exchange

    exchange = asyncio.run(run())
    assert exchange.partial_response().body == whole
    assert max(len(message["body"]) for message in exchange.sent[1:]) <= WINDOW


def test_waiting_chunks_are_sent_together(to_asgi: ToAsgi) -> None:
    """Many small chunks in one message while the server is busy save wakeups and writes."""

    all_made = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        for _ in range(500):
            yield b"x"
        all_made.set()

    async def run() -> Exchange:
        adapter = to_asgi(app)
        await call_async(adapter, http_scope())  # the first one that streams goes in step with send
        all_made.clear()
        async with Exchange(adapter, http_scope()) as exchange:
            exchange.pause_reading()
            exchange.feed()
            assert await asyncio.to_thread(all_made.wait, WAIT_S)
            exchange.resume_reading()
            await exchange.response()
        return exchange

    exchange = asyncio.run(run())
    assert exchange.partial_response().body == b"x" * 500
    assert len(exchange.sent) < 250


def test_expect_continue_is_not_received_before_the_app_reads(to_asgi: ToAsgi) -> None:
    """A server sends 100 Continue at the first ``receive()``. An app that refuses an upload by its
    head must be able to respond without it (RFC 9110, 10.1.1).
    """
    received = 0

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("413 Too Large", PLAIN)
        return [b"no, thanks"]

    async def run() -> list[Message]:
        async def receive() -> Message:
            nonlocal received
            received += 1
            return body_message(b"unused")

        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        headers = [*length_header(12), (b"expect", b"100-continue")]
        await to_asgi(app)(http_scope("POST", headers=headers), receive, send)
        return sent

    assert asyncio.run(run())[0]["status"] == 413
    assert received == 0


def test_a_body_that_arrives_just_before_the_reader_sleeps_is_not_lost() -> None:
    """Data and end arrive after the reader has found nothing and before it sleeps."""

    class ImmediateInbox:
        """An inbox whose event loop has run the callback before ``post`` returns."""

        def post(self, callback: Callable[[], object]) -> bool:
            body.feed(b"hello")
            body.end()
            return True

    body = RequestBody(cast(LoopInbox, ImmediateInbox()), WINDOW)
    body.pause()

    assert io.BufferedReader(body).read() == b"hello"
