"""A body that is longer than its Content-Length: the rest is not sent, or an error if ``strict``.

gunicorn, waitress and mod_wsgi send what the app has announced, so apps with this mistake work
there.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

import bridge
from bridge.errors import AppProtocolError
from bridge.types import Environ, StartResponse
from tests.apps.wsgi_routes import PLAIN
from tests.conformance.conftest import ToAsgi
from tests.conformance.test_pep3333 import Body
from tests.harness.asgi import Exchange, call, http_scope, lifespan

Logged = Callable[[], list[str]]
WAYS = ["list", "parts", "iterator", "write", "write-and-list"]


class LongApp:
    """Sends ``parts``, with a Content-Length of ``length``.

    :ivar body: what it returns; counts its chunks and calls of ``close()``.
    """

    def __init__(self, how: str, length: int, parts: list[bytes], status: str = "200 OK") -> None:
        self.how, self.length, self.parts, self.status = how, length, parts, status
        self.body = Body(*parts)

    def __repr__(self) -> str:
        return "<the long app>"

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        headers = [*PLAIN, ("Content-Length", str(self.length))]
        write = start_response(self.status, headers)
        if self.how.startswith("write"):
            for part in self.parts:
                write(part)
            return self.parts if self.how == "write-and-list" else []
        if self.how == "list":
            return [b"".join(self.parts)]
        return list(self.parts) if self.how == "parts" else self.body


@pytest.mark.parametrize("length", [0, 1, 4, 6, 8])
@pytest.mark.parametrize("how", WAYS)
def test_the_rest_is_not_sent_and_one_warning_is_logged(
    to_asgi: ToAsgi, logged: Logged, caplog: pytest.LogCaptureFixture, how: str, length: int
) -> None:
    app = LongApp(how, length, [b"0123", b"4567", b"89ab"])

    response = call(to_asgi(app), http_scope(path="/the/path"))

    assert (response.status, response.body) == (200, b"0123456789ab"[:length])
    assert response.header_values("content-length") == [str(length)]
    (warning,) = logged()
    assert "<the long app>" in warning
    assert "for /the/path;" in warning
    assert f"Content-Length of {length} bytes" in warning
    assert all(record.exc_info is None for record in caplog.records)


def test_iteration_stops_at_the_first_chunk_too_much_and_close_is_called(to_asgi: ToAsgi) -> None:
    app = LongApp("iterator", 6, [b"0123", b"4567", b"89ab"])

    assert call(to_asgi(app), http_scope()).body == b"012345"

    assert (app.body.produced, app.body.closed) == (2, 1)


def test_an_app_runs_on_after_the_last_byte_as_long_as_it_sends_nothing(
    to_asgi: ToAsgi, logged: Logged
) -> None:
    ended = []

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [*PLAIN, ("Content-Length", "4")])
        yield b"0123"
        yield b""
        ended.append(True)

    assert call(to_asgi(app), http_scope()).body == b"0123"
    assert ended == [True]
    assert logged() == []


def test_an_endless_body_ends_at_its_content_length(to_asgi: ToAsgi) -> None:
    closed = []

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [*PLAIN, ("Content-Length", "100000")])
        try:
            while True:
                yield b"x" * 7000
        finally:
            closed.append(True)

    assert call(to_asgi(app), http_scope()).body == b"x" * 100_000
    assert closed == [True]


def test_the_path_in_the_warning_is_quoted(to_asgi: ToAsgi, logged: Logged) -> None:
    app = LongApp("list", 1, [b"0123"])

    call(to_asgi(app), http_scope(path="/a\nCRITICAL forged \x1b[0m"))

    assert r"'/a\nCRITICAL forged \x1b[0m'" in logged()[0]


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize(
    ("method", "status"),
    [("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Not Modified")],
)
def test_a_body_that_is_not_sent_is_not_too_long(
    to_asgi: ToAsgi, logged: Logged, how: str, method: str, status: str, strict: bool
) -> None:
    app = LongApp(how, 2, [b"0123", b"4567"], status)

    response = call(to_asgi(app, strict=strict), http_scope(method))

    assert (response.status, response.body) == (int(status[:3]), b"")
    assert logged() == []


@pytest.mark.parametrize("strict", [False, True])
def test_a_wrapped_file_may_be_longer(to_asgi: ToAsgi, logged: Logged, strict: bool) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [*PLAIN, ("Content-Length", "5")])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](io.BytesIO(b"0123456789"))
        return wrapped

    assert call(to_asgi(app, strict=strict), http_scope()).body == b"01234"
    assert logged() == []


def test_a_wrapped_file_may_be_longer_than_what_write_has_left(
    to_asgi: ToAsgi, logged: Logged
) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [*PLAIN, ("Content-Length", "5")])(b"ab")
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](io.BytesIO(b"0123456789"))
        return wrapped

    assert call(to_asgi(app), http_scope()).body == b"ab012"
    assert logged() == []


def test_a_wrapped_file_inside_another_iterable_is_cut(to_asgi: ToAsgi, logged: Logged) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [*PLAIN, ("Content-Length", "5")])
        yield from environ["wsgi.file_wrapper"](io.BytesIO(b"0123456789"))

    assert call(to_asgi(app), http_scope()).body == b"01234"
    assert len(logged()) == 1


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("strict", [False, True])
def test_a_body_that_is_too_short_stays_an_error(to_asgi: ToAsgi, how: str, strict: bool) -> None:
    app = LongApp(how, 100, [b"0123"])

    with pytest.raises(AppProtocolError, match="Content-Length"):
        call(to_asgi(app, strict=strict), http_scope())


@pytest.mark.parametrize(
    "make", [bridge.universal, lambda app, **o: bridge.Router({"/": app}, **o)]
)
def test_routers_and_universal_apps_pass_the_option_on(make: Any, logged: Logged) -> None:
    async def status(strict: bool) -> list[Any]:
        site = make(LongApp("list", 3, [b"0123"]), strict=strict)
        async with lifespan(site), Exchange(site, http_scope()) as exchange:
            exchange.feed()
            return [await asyncio.gather(exchange.wait(), return_exceptions=True), exchange.sent]

    (error,), sent = asyncio.run(status(True))
    assert isinstance(error, AppProtocolError)
    assert sent == []
    (error,), sent = asyncio.run(status(False))
    assert error is None
    assert sent[-1]["body"] == b"012"
    assert len(logged()) == 1


@pytest.mark.parametrize("how", WAYS)
def test_with_strict_a_first_chunk_that_is_too_long_is_an_error_before_the_head(
    to_asgi: ToAsgi, logged: Logged, how: str
) -> None:
    async def run() -> None:
        adapter = to_asgi(LongApp(how, 3, [b"0123", b"4567"]), strict=True)
        async with Exchange(adapter, http_scope()) as exchange:
            exchange.feed()
            with pytest.raises(AppProtocolError, match=r"Content-Length.*\b3\b"):
                await exchange.wait()
            assert exchange.sent == []

    asyncio.run(run())
    assert logged() == []


def test_with_strict_a_later_chunk_that_is_too_long_is_not_sent(
    to_asgi: ToAsgi, logged: Logged
) -> None:
    async def run() -> None:
        adapter = to_asgi(LongApp("iterator", 6, [b"0123", b"4567"]), strict=True)
        async with Exchange(adapter, http_scope()) as exchange:
            exchange.feed()
            with pytest.raises(AppProtocolError, match="got 4 bytes where 2 were left"):
                await exchange.wait()
            assert all(message.get("more_body", True) for message in exchange.sent[1:])
            assert b"0123".startswith(exchange.partial_response().body)

    asyncio.run(run())
    assert logged() == []
