"""``start_response``, ``write``, iteration and ``close``, clause by clause, in ASGI messages."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable, Iterable, Iterator
from wsgiref.validate import validator

import pytest

from bridge.types import Environ, StartResponse, WsgiApp
from tests.apps.wsgi_errors import caught
from tests.apps.wsgi_routes import PLAIN, Boom
from tests.conformance.conftest import Bridged
from tests.harness.asgi import Exchange, call, http_scope

Logged = Callable[[], list[str]]
WAIT_S = 10.0


class Body:
    """An iterable that counts what is done with it.

    :ivar given: how many chunks were taken.
    :ivar closed: how often ``close()`` was called.
    """

    def __init__(self, *chunks: bytes | Exception) -> None:
        self.chunks = iter(chunks)
        self.given = 0
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk = next(self.chunks)
        if isinstance(chunk, Exception):
            raise chunk
        self.given += 1
        return chunk

    def close(self) -> None:
        self.closed += 1


def answering(body: Iterable[bytes], status: str = "200 OK") -> WsgiApp:
    """An app with this body, in the validator."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, [] if status[:3] in ("204", "304") else PLAIN)
        return body

    return validator(app)


def test_head_and_body_of_a_complete_response_are_two_messages(bridged: Bridged) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", PLAIN)
        return [b"hel", b"lo"]

    async def run() -> list[str]:
        async with Exchange(bridged(app), http_scope()) as exchange:
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
def test_every_kind_of_iterable_is_sent_whole(
    bridged: Bridged,
    kind: Callable[[list[bytes]], Iterable[bytes]],
    chunks: list[bytes],
    body: bytes,
) -> None:
    assert call(bridged(answering(kind(chunks))), http_scope()).body == body


def test_a_declared_length_is_passed_on_once(bridged: Bridged) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [*PLAIN, ("Content-Length", "5")])
        return [b"hello"]

    response = call(bridged(validator(app)), http_scope())

    assert response.header_values("content-length") == ["5"]


def test_the_head_is_held_until_the_first_chunk_that_is_not_empty(bridged: Bridged) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b""
        asked.set()
        assert go_on.wait(WAIT_S)
        yield b"data"

    async def run() -> None:
        async with Exchange(bridged(validator(app)), http_scope()) as exchange:
            exchange.feed()
            assert await asyncio.to_thread(asked.wait, WAIT_S)
            assert exchange.sent == []
            go_on.set()
            assert (await exchange.response()).body == b"data"

    asyncio.run(run())


def test_the_first_chunk_leaves_before_the_second_is_made(bridged: Bridged) -> None:
    go_on = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b"first"
        assert go_on.wait(WAIT_S)
        yield b"second"

    async def run() -> None:
        async with Exchange(bridged(validator(app)), http_scope()) as exchange:
            exchange.feed()
            assert await exchange.wait_for_body(5) == b"first"
            go_on.set()
            assert (await exchange.response()).body == b"firstsecond"

    asyncio.run(run())


def test_written_data_leaves_before_the_app_returns(bridged: Bridged) -> None:
    go_on = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", PLAIN)
        write(b"written")
        assert go_on.wait(WAIT_S)
        return [b" and returned"]

    async def run() -> None:
        async with Exchange(bridged(validator(app)), http_scope()) as exchange:
            exchange.feed()
            assert await exchange.wait_for_body(7) == b"written"
            go_on.set()
            assert (await exchange.response()).body == b"written and returned"

    asyncio.run(run())


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "304 Not Modified"])
def test_close_is_called_once(bridged: Bridged, method: str, status: str) -> None:
    body = Body(b"a", b"b")

    call(bridged(answering(body, status)), http_scope(method))

    assert body.closed == 1


@pytest.mark.parametrize("chunks", [[], [b"a part"]])
def test_close_is_called_once_after_an_error_in_the_iteration(
    bridged: Bridged, chunks: list[bytes]
) -> None:
    body = Body(*chunks, Boom("in the iteration"))

    with pytest.raises(Boom):
        call(bridged(answering(body)), http_scope())

    assert body.closed == 1


def test_close_is_called_where_iter_itself_raises(bridged: Bridged) -> None:
    closed: list[bool] = []

    class Unwilling:
        def __iter__(self) -> Iterator[bytes]:
            raise Boom("in __iter__")

        def close(self) -> None:
            closed.append(True)

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", PLAIN)
        return Unwilling()

    with pytest.raises(Boom):
        call(bridged(app), http_scope())
    assert closed == [True]


def test_an_iterable_without_close_is_fine(bridged: Bridged) -> None:
    assert call(bridged(answering(iter([b"a", b"b"]))), http_scope()).body == b"ab"


def test_an_iterable_whose_attributes_cannot_be_looked_up_is_an_error_like_any_other(
    bridged: Bridged, logged: Logged
) -> None:
    class Record:
        def __init__(self) -> None:
            self.chunks = iter([b"ok"])

        def __iter__(self) -> Iterator[bytes]:
            return self.chunks

        def __getattr__(self, name: str) -> object:
            raise KeyError(name)  # where AttributeError is meant

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", PLAIN)
        return Record()

    assert call(bridged(app), http_scope()).body == b"ok"
    assert logged() == ["the app failed after its response was complete"]


def test_the_old_sequence_protocol_is_iterable(bridged: Bridged) -> None:
    class Sequence:
        def __getitem__(self, index: int) -> bytes:
            return [b"a", b"b"][index]

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", PLAIN)
        return Sequence()  # type: ignore[return-value]  # iterable by __getitem__ alone

    assert call(bridged(app), http_scope()).body == b"ab"


@pytest.mark.parametrize("raise_at", ["call", "iteration", "after-empty"])
def test_an_error_before_the_head_leaves_the_adapter_unchanged(
    bridged: Bridged, logged: Logged, raise_at: str
) -> None:
    """The server sees the very exception, logs it and answers 500; the bridge does neither."""
    error = Boom("the app's own")

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
        async with Exchange(bridged(app), http_scope()) as exchange:
            exchange.feed()
            with pytest.raises(Boom) as raised:
                await exchange.wait()
            assert raised.value is error
        return exchange

    assert asyncio.run(run()).sent == []
    assert logged() == []


def test_an_error_after_the_head_leaves_the_response_open(bridged: Bridged, logged: Logged) -> None:
    error = Boom("the app's own")

    async def run() -> Exchange:
        body = Body(b"a part", error)
        async with Exchange(bridged(answering(body)), http_scope()) as exchange:
            exchange.feed()
            with pytest.raises(Boom) as raised:
                await exchange.wait()
            assert raised.value is error
        return exchange

    exchange = asyncio.run(run())
    assert exchange.partial_response().body == b"a part"
    assert exchange.sent[-1]["more_body"] is True
    assert logged() == []


def test_the_traceback_of_an_error_leads_into_the_app(bridged: Bridged) -> None:
    def failing_app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        raise Boom("find me")

    with pytest.raises(Boom) as raised:
        call(bridged(failing_app), http_scope())

    assert "failing_app" in [entry.name for entry in raised.traceback]


def test_exc_info_replaces_the_head(bridged: Bridged) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [*PLAIN, ("X-First", "1")])
        start_response("500 Replaced", [*PLAIN, ("X-Second", "2")], caught(Boom("why")))
        return [b"error page"]

    response = call(bridged(validator(app)), http_scope())

    assert (response.status, response.body) == (500, b"error page")
    assert response.header("x-first") is None
    assert response.header("x-second") == "2"


def test_writing_nothing_does_not_commit_the_head(bridged: Bridged) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", PLAIN)(b"")
        start_response("500 Replaced", PLAIN, caught(Boom("why")))
        return [b"error page"]

    assert call(bridged(validator(app)), http_scope()).status == 500


def test_a_replaced_head_drops_the_first_ones_length(bridged: Bridged) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [*PLAIN, ("Content-Length", "1")])
        start_response("500 Replaced", PLAIN, caught(Boom("why")))
        return [b"a longer error page"]

    assert call(bridged(validator(app)), http_scope()).body == b"a longer error page"


def test_a_replaced_204_may_have_a_body_after_all(bridged: Bridged) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("204 No Content", [])
        start_response("500 Replaced", PLAIN, caught(Boom("why")))
        return [b"error page"]

    response = call(bridged(validator(app)), http_scope())

    assert (response.status, response.body) == (500, b"error page")


def test_exc_info_too_late_raises_what_it_was_given(bridged: Bridged) -> None:
    error = Boom("too late")

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b"a part"
        start_response("500 Too Late", PLAIN, caught(error))
        raise AssertionError("start_response has to raise")

    with pytest.raises(Boom) as raised:
        call(bridged(validator(app)), http_scope())
    assert raised.value is error


def test_head_asks_for_no_more_chunks_than_it_needs(bridged: Bridged) -> None:
    body = Body(b"a", b"b", b"c")

    response = call(bridged(answering(body)), http_scope("HEAD"))

    assert response.body == b""
    assert body.given <= 1


def test_head_runs_a_lazy_generator_up_to_its_start_response(bridged: Bridged) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("202 Accepted", [*PLAIN, ("X-Lazy", "yes")])
        yield b"body"

    response = call(bridged(validator(app)), http_scope("HEAD"))

    assert (response.status, response.header("x-lazy"), response.body) == (202, "yes", b"")


def test_head_may_declare_a_length_without_a_body(bridged: Bridged) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [*PLAIN, ("Content-Length", "1000")])
        return []

    response = call(bridged(validator(app)), http_scope("HEAD"))

    assert response.header("content-length") == "1000"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_bodyless_status_drops_a_body(bridged: Bridged, status: str) -> None:
    response = call(bridged(answering([b"forbidden"], status)), http_scope())

    assert (response.status, response.body) == (int(status[:3]), b"")


def test_reason_phrases_may_be_empty(bridged: Bridged) -> None:
    assert call(bridged(answering([b"x"], "200 ")), http_scope()).status == 200


@pytest.mark.parametrize("value", [" padded", "padded ", "\tpadded\t", "  padded  "])
def test_whitespace_around_a_field_value_is_taken_off(bridged: Bridged, value: str) -> None:
    """It is not part of the value (RFC 9110, 5.5), and h11 refuses it. Django up to 5.2 makes
    ``Set-Cookie`` with a leading space, so sessions and CSRF depend on this.
    """

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [*PLAIN, ("X-Padded", value)])
        return [b"ok"]

    assert call(bridged(app), http_scope()).header("x-padded") == "padded"


def test_subclasses_of_str_and_bytes_are_accepted(bridged: Bridged) -> None:
    class Text(str):
        pass

    class Data(bytes):
        pass

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(Text("200 OK"), [(Text("X-Text"), Text("value"))])
        return iter([Data(b"data")])

    response = call(bridged(app), http_scope())

    assert (response.header("x-text"), response.body) == ("value", b"data")


def test_call_iteration_and_close_share_one_thread(bridged: Bridged) -> None:
    threads: list[int] = []

    class Watched(Body):
        def __next__(self) -> bytes:
            threads.append(threading.get_ident())
            return super().__next__()

        def close(self) -> None:
            threads.append(threading.get_ident())

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        threads.append(threading.get_ident())
        start_response("200 OK", PLAIN)
        return Watched(b"a", b"b")

    call(bridged(app), http_scope())

    assert len(threads) == 5
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()


@pytest.mark.parametrize("length", [b"0", b"10", b"100000", b"200000"])
def test_a_wrapped_file_ends_at_its_content_length(bridged: Bridged, length: bytes) -> None:
    """PEP 3333, Optional Platform-Specific File Handling: "continue until the end is reached, or
    until Content-Length bytes have been written". So a longer file is no mistake of the app.
    """
    content = bytes(range(256)) * 1000

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("206 Partial Content", [*PLAIN, ("Content-Length", length.decode())])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](io.BytesIO(content))
        return wrapped

    response = call(bridged(app), http_scope())

    assert response.body == content[: int(length)]
