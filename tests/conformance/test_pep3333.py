"""PEP 3333 clause by clause: ``start_response``, ``write``, iteration and ``close``."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.validate import validator

import pytest

from bridge.errors import AppProtocolError
from bridge.types import Environ, StartResponse, WsgiApp
from tests.apps.wsgi_errors import caught
from tests.apps.wsgi_routes import PLAIN, Boom
from tests.conformance.conftest import ToAsgi
from tests.harness.asgi import Exchange, call, http_scope

Logged = Callable[[], list[str]]
WAIT_S = 10.0


class Body:
    """An iterable that counts its chunks and calls.

    :ivar produced: the number of chunks produced.
    :ivar closed: the number of calls of ``close()``.
    """

    def __init__(self, *chunks: bytes | Exception) -> None:
        self.chunks = iter(chunks)
        self.produced = 0
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk = next(self.chunks)
        if isinstance(chunk, Exception):
            raise chunk
        self.produced += 1
        return chunk

    def close(self) -> None:
        self.closed += 1


def app_returning(body: Iterable[bytes], status: str = "200 OK") -> WsgiApp:
    """An app that returns this body, wrapped in the validator."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, [] if status[:3] in ("204", "304") else PLAIN)
        return body

    return validator(app)


def test_a_complete_response_is_two_messages(to_asgi: ToAsgi) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", PLAIN)
        return [b"hel", b"lo"]

    async def run() -> list[str]:
        async with Exchange(to_asgi(app), http_scope()) as exchange:
            exchange.feed()
            await exchange.response()
            return [message["type"] for message in exchange.sent]

    assert asyncio.run(run()) == ["http.response.start", "http.response.body"]


@pytest.mark.parametrize(
    ("chunks", "body"),
    [
        ([], b""),
        ([b""], b""),
        ([b"one"], b"one"),
        ([b"one", b"two"], b"onetwo"),
        ([b"", b"one", b"", b"two", b""], b"onetwo"),
    ],
)
@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_the_body_of_every_kind_of_iterable_is_sent(
    to_asgi: ToAsgi,
    kind: Callable[[list[bytes]], Iterable[bytes]],
    chunks: list[bytes],
    body: bytes,
) -> None:
    assert call(to_asgi(app_returning(kind(chunks))), http_scope()).body == body


def test_content_length_is_sent_once(to_asgi: ToAsgi) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [*PLAIN, ("Content-Length", "5")])
        return [b"hello"]

    response = call(to_asgi(validator(app)), http_scope())

    assert response.header_values("content-length") == ["5"]


def test_the_head_is_not_sent_before_the_first_non_empty_chunk(to_asgi: ToAsgi) -> None:
    iterated, release = threading.Event(), threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b""
        iterated.set()
        assert release.wait(WAIT_S)
        yield b"data"

    async def run() -> None:
        async with Exchange(to_asgi(validator(app)), http_scope()) as exchange:
            exchange.feed()
            assert await asyncio.to_thread(iterated.wait, WAIT_S)
            assert exchange.sent == []
            release.set()
            assert (await exchange.response()).body == b"data"

    asyncio.run(run())


def test_the_first_chunk_is_sent_before_the_second_is_produced(to_asgi: ToAsgi) -> None:
    release = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b"first"
        assert release.wait(WAIT_S)
        yield b"second"

    async def run() -> None:
        async with Exchange(to_asgi(validator(app)), http_scope()) as exchange:
            exchange.feed()
            assert await exchange.wait_for_body(5) == b"first"
            release.set()
            assert (await exchange.response()).body == b"firstsecond"

    asyncio.run(run())


def test_written_data_is_sent_before_the_app_returns(to_asgi: ToAsgi) -> None:
    release = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", PLAIN)
        write(b"written")
        assert release.wait(WAIT_S)
        return [b" and returned"]

    async def run() -> None:
        async with Exchange(to_asgi(validator(app)), http_scope()) as exchange:
            exchange.feed()
            assert await exchange.wait_for_body(7) == b"written"
            release.set()
            assert (await exchange.response()).body == b"written and returned"

    asyncio.run(run())


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "304 Not Modified"])
def test_close_is_called_once(to_asgi: ToAsgi, method: str, status: str) -> None:
    body = Body(b"a", b"b")

    call(to_asgi(app_returning(body, status)), http_scope(method))

    assert body.closed == 1


@pytest.mark.parametrize("chunks", [[], [b"a part"]])
def test_close_is_called_once_after_an_exception_in_the_iteration(
    to_asgi: ToAsgi, chunks: list[bytes]
) -> None:
    body = Body(*chunks, Boom("in the iteration"))

    with pytest.raises(Boom):
        call(to_asgi(app_returning(body)), http_scope())

    assert body.closed == 1


def test_close_is_called_after_an_exception_in_iter(to_asgi: ToAsgi) -> None:
    closed: list[bool] = []

    class Failing:
        def __iter__(self) -> Iterator[bytes]:
            raise Boom("in __iter__")

        def close(self) -> None:
            closed.append(True)

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", PLAIN)
        return Failing()

    with pytest.raises(Boom):
        call(to_asgi(app), http_scope())
    assert closed == [True]


def test_an_iterable_needs_no_close(to_asgi: ToAsgi) -> None:
    assert call(to_asgi(app_returning(iter([b"a", b"b"]))), http_scope()).body == b"ab"


def test_an_exception_in_the_lookup_of_close_is_logged(to_asgi: ToAsgi, logged: Logged) -> None:
    class Record:
        def __init__(self) -> None:
            self.chunks = iter([b"ok"])

        def __iter__(self) -> Iterator[bytes]:
            return self.chunks

        def __getattr__(self, name: str) -> object:
            raise KeyError(name)  # should be AttributeError

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", PLAIN)
        return Record()

    assert call(to_asgi(app), http_scope()).body == b"ok"
    assert logged() == ["the app failed after its response was complete"]


def test_an_object_with_getitem_is_an_iterable(to_asgi: ToAsgi) -> None:
    class Sequence:
        def __getitem__(self, index: int) -> bytes:
            return [b"a", b"b"][index]

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", PLAIN)
        return Sequence()  # type: ignore[return-value]  # iterable by __getitem__ only

    assert call(to_asgi(app), http_scope()).body == b"ab"


@pytest.mark.parametrize("raise_at", ["call", "iteration", "after-empty"])
def test_an_exception_before_the_head_is_raised_unchanged(
    to_asgi: ToAsgi, logged: Logged, raise_at: str
) -> None:
    """The server gets the same exception, logs it and responds with 500. The adapter does not."""
    error = Boom("of the app")

    def body() -> Iterator[bytes]:
        if raise_at == "after-empty":
            yield b""
        raise error

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", PLAIN)
        if raise_at == "call":
            raise error
        return body()

    async def run() -> Exchange:
        async with Exchange(to_asgi(app), http_scope()) as exchange:
            exchange.feed()
            with pytest.raises(Boom) as raised:
                await exchange.wait()
            assert raised.value is error
        return exchange

    assert asyncio.run(run()).sent == []
    assert logged() == []


def test_an_exception_after_the_head_leaves_the_response_incomplete(
    to_asgi: ToAsgi, logged: Logged
) -> None:
    error = Boom("of the app")

    async def run() -> Exchange:
        body = Body(b"a part", error)
        async with Exchange(to_asgi(app_returning(body)), http_scope()) as exchange:
            exchange.feed()
            with pytest.raises(Boom) as raised:
                await exchange.wait()
            assert raised.value is error
        return exchange

    exchange = asyncio.run(run())
    assert exchange.partial_response().body == b"a part"
    assert exchange.sent[-1]["more_body"] is True
    assert logged() == []


def test_the_traceback_of_an_exception_includes_the_app(to_asgi: ToAsgi) -> None:
    def failing_app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        raise Boom("in the app")

    with pytest.raises(Boom) as raised:
        call(to_asgi(failing_app), http_scope())

    assert "failing_app" in [entry.name for entry in raised.traceback]


def test_exc_info_replaces_the_head(to_asgi: ToAsgi) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [*PLAIN, ("X-First", "1")])
        start_response("500 Replaced", [*PLAIN, ("X-Second", "2")], caught(Boom("why")))
        return [b"error page"]

    response = call(to_asgi(validator(app)), http_scope())

    assert (response.status, response.body) == (500, b"error page")
    assert response.header("x-first") is None
    assert response.header("x-second") == "2"


def test_start_response_and_write_take_the_names_of_pep_3333(to_asgi: ToAsgi) -> None:
    """PEP 3333 asks apps to pass positions, but its own server and all others take these names."""

    def app(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response(status="200 OK", response_headers=[*PLAIN, ("X-First", "1")])
        write = start_response("500 Replaced", PLAIN, exc_info=caught(Boom("why")))
        write(data=b"error ")
        return [b"page"]

    response = call(to_asgi(app), http_scope())

    assert (response.status, response.body) == (500, b"error page")
    assert response.header("x-first") is None


def test_the_file_wrapper_takes_the_names_of_pep_3333(to_asgi: ToAsgi) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", PLAIN)
        wrap: Callable[..., Iterable[bytes]] = environ["wsgi.file_wrapper"]
        return wrap(filelike=io.BytesIO(b"content"), blksize=4)

    assert call(to_asgi(app), http_scope()).body == b"content"


def test_exc_info_with_a_header_that_cannot_be_sent_is_refused(to_asgi: ToAsgi) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", PLAIN)
        start_response("500 Replaced", [("X-Bad", "a\x01b")], caught(Boom("why")))
        return [b"error page"]

    with pytest.raises(AppProtocolError, match="'x-bad'"):
        call(to_asgi(app), http_scope())


def test_an_empty_write_does_not_send_the_head(to_asgi: ToAsgi) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", PLAIN)(b"")
        start_response("500 Replaced", PLAIN, caught(Boom("why")))
        return [b"error page"]

    assert call(to_asgi(validator(app)), http_scope()).status == 500


def test_a_replaced_head_drops_the_first_content_length(to_asgi: ToAsgi) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [*PLAIN, ("Content-Length", "1")])
        start_response("500 Replaced", PLAIN, caught(Boom("why")))
        return [b"a longer error page"]

    assert call(to_asgi(validator(app)), http_scope()).body == b"a longer error page"


def test_a_replaced_204_can_have_a_body(to_asgi: ToAsgi) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("204 No Content", [])
        start_response("500 Replaced", PLAIN, caught(Boom("why")))
        return [b"error page"]

    response = call(to_asgi(validator(app)), http_scope())

    assert (response.status, response.body) == (500, b"error page")


def test_exc_info_after_the_head_is_raised(to_asgi: ToAsgi) -> None:
    error = Boom("too late")

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b"a part"
        start_response("500 Too Late", PLAIN, caught(error))
        raise AssertionError("start_response must raise")

    with pytest.raises(Boom) as raised:
        call(to_asgi(validator(app)), http_scope())
    assert raised.value is error


def test_head_iterates_over_at_most_one_chunk(to_asgi: ToAsgi) -> None:
    body = Body(b"a", b"b", b"c")

    response = call(to_asgi(app_returning(body)), http_scope("HEAD"))

    assert response.body == b""
    assert body.produced <= 1


def test_head_runs_a_generator_up_to_start_response(to_asgi: ToAsgi) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("202 Accepted", [*PLAIN, ("X-Lazy", "yes")])
        yield b"body"

    response = call(to_asgi(validator(app)), http_scope("HEAD"))

    assert (response.status, response.header("x-lazy"), response.body) == (202, "yes", b"")


def test_head_can_have_a_content_length_without_a_body(to_asgi: ToAsgi) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [*PLAIN, ("Content-Length", "1000")])
        return []

    response = call(to_asgi(validator(app)), http_scope("HEAD"))

    assert response.header("content-length") == "1000"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_the_body_of_a_bodyless_status_is_dropped(to_asgi: ToAsgi, status: str) -> None:
    response = call(to_asgi(app_returning([b"forbidden"], status)), http_scope())

    assert (response.status, response.body) == (int(status[:3]), b"")


def test_the_reason_phrase_can_be_empty(to_asgi: ToAsgi) -> None:
    assert call(to_asgi(app_returning([b"x"], "200 ")), http_scope()).status == 200


@pytest.mark.parametrize("value", [" padded", "padded ", "\tpadded\t", "  padded  "])
def test_whitespace_around_a_header_value_is_stripped(to_asgi: ToAsgi, value: str) -> None:
    """It is not part of the value (RFC 9110, 5.5), and h11 refuses it. Django up to 5.2 sends
    ``Set-Cookie`` with a leading space, so sessions and CSRF depend on this.
    """

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [*PLAIN, ("X-Padded", value)])
        return [b"ok"]

    assert call(to_asgi(app), http_scope()).header("x-padded") == "padded"


def test_subclasses_of_str_and_bytes_are_accepted(to_asgi: ToAsgi) -> None:
    class Text(str):
        pass

    class Data(bytes):
        pass

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(Text("200 OK"), [(Text("X-Text"), Text("value"))])
        return iter([Data(b"data")])

    response = call(to_asgi(app), http_scope())

    assert (response.header("x-text"), response.body) == ("value", b"data")


def test_call_iteration_and_close_run_on_one_thread(to_asgi: ToAsgi) -> None:
    threads: list[int] = []

    class Recorded(Body):
        def __next__(self) -> bytes:
            threads.append(threading.get_ident())
            return super().__next__()

        def close(self) -> None:
            threads.append(threading.get_ident())

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        threads.append(threading.get_ident())
        start_response("200 OK", PLAIN)
        return Recorded(b"a", b"b")

    call(to_asgi(app), http_scope())

    assert len(threads) == 5
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()


@pytest.mark.parametrize("length", [b"0", b"10", b"100000", b"200000"])
def test_a_wrapped_file_ends_at_its_content_length(to_asgi: ToAsgi, length: bytes) -> None:
    """PEP 3333, Optional Platform-Specific File Handling: "continue until the end is reached, or
    until Content-Length bytes have been written". A longer file is not an error of the app.
    """
    content = bytes(range(256)) * 1000

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("206 Partial Content", [*PLAIN, ("Content-Length", length.decode())])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](io.BytesIO(content))
        return wrapped

    response = call(to_asgi(app), http_scope())

    assert response.body == content[: int(length)]
