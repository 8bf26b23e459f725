"""WSGI apps that violate PEP 3333 in one way each, at ``/faulty/<name>``.

``wsgiref.validate`` checks only the environ. The adapter must detect the faults of the response.
``FAULTS`` has the expected outcome of each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast
from wsgiref.validate import check_environ  # type: ignore[attr-defined]  # not in typeshed

from bridge.types import Environ, StartResponse, WsgiApp
from tests.apps.wsgi_errors import caught
from tests.apps.wsgi_routes import PLAIN, Boom, query, where
from tests.harness import control


@dataclass(frozen=True)
class Fault:
    """A violation of PEP 3333.

    :ivar app: the app.
    :ivar aborts: a part of the response has been sent before, so it is aborted instead of a 500.
    """

    app: WsgiApp
    aborts: bool = False


def returns_none(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    return cast(Iterable[bytes], None)


def returns_number(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    return cast(Iterable[bytes], 7)


def returns_str(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    return cast(Iterable[bytes], "text")


def returns_bytes(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Bytes are an iterable of numbers, not of bytes."""
    start_response("200 OK", PLAIN)
    return cast(Iterable[bytes], b"text")


def str_chunk(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    return [cast(Any, "text")]


def str_chunk_later(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", PLAIN)
    yield b"a part"
    control.gate(query(environ)["key"], "fail")
    yield cast(Any, "text")


def none_chunk(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    return [cast(Any, None)]


def writes_str(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)(cast(Any, "text"))
    return []


def never_starts(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return [b"body without a head"]


def never_starts_empty(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return []


def starts_after_body(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    yield b"body before the head"
    start_response("200 OK", PLAIN)


def starts_twice(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    start_response("201 Created", PLAIN)
    return [b"body"]


def starts_again_later(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", PLAIN)
    yield b"a part"
    control.gate(query(environ)["key"], "fail")
    start_response("201 Created", PLAIN)


def status_without_number(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("OK", PLAIN)
    return [b"body"]


def status_short(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("20 OK", PLAIN)
    return [b"body"]


def status_number(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response(cast(Any, 200), PLAIN)
    return [b"body"]


def status_bytes(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response(cast(Any, b"200 OK"), PLAIN)
    return [b"body"]


def status_with_newline(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK\r\nX-Split: yes", PLAIN)
    return [b"body"]


def status_with_control(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 \x01OK", PLAIN)
    return [b"body"]


def replaced_with_control(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """The head that replaces the first one cannot be sent."""
    start_response("200 OK", PLAIN)
    start_response("500 Replaced", [("X-Bad", "a\x01b")], caught(Boom("why")))
    return [b"body"]


def _with_field(name: object, value: object) -> WsgiApp:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [*PLAIN, cast(Any, (name, value))])
        return [b"body"]

    return app


def fields_not_a_list(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", cast(Any, None))
    return [b"body"]


def field_not_a_pair(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", cast(Any, [("X-Alone",)]))
    return [b"body"]


def too_short(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [*PLAIN, ("Content-Length", "100")])
    yield b"a part"
    control.gate(query(environ)["key"], "fail")


def close_raises(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    return BadClose(query(environ)["key"])


class BadClose:
    """A body whose ``close`` fails after the last chunk."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.chunks = iter([b"a part"])

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self.chunks)

    def close(self) -> None:
        control.report(self.key, "closed", **where())
        raise Boom(self.key)


FAULTS: dict[str, Fault] = {
    "returns-none": Fault(returns_none),
    "returns-number": Fault(returns_number),
    "returns-str": Fault(returns_str),
    "returns-bytes": Fault(returns_bytes),
    "str-chunk": Fault(str_chunk),
    "str-chunk-later": Fault(str_chunk_later, aborts=True),
    "none-chunk": Fault(none_chunk),
    "writes-str": Fault(writes_str),
    "never-starts": Fault(never_starts),
    "never-starts-empty": Fault(never_starts_empty),
    "starts-after-body": Fault(starts_after_body),
    "starts-twice": Fault(starts_twice),
    "starts-again-later": Fault(starts_again_later, aborts=True),
    "status-without-number": Fault(status_without_number),
    "status-short": Fault(status_short),
    "status-number": Fault(status_number),
    "status-bytes": Fault(status_bytes),
    "status-with-newline": Fault(status_with_newline),
    "status-with-control": Fault(status_with_control),
    "replaced-with-control": Fault(replaced_with_control),
    "field-value-with-cr": Fault(_with_field("X-Bad", "a\rb")),
    "field-value-with-lf": Fault(_with_field("X-Bad", "a\nSet-Cookie: stolen=1")),
    "field-value-with-nul": Fault(_with_field("X-Bad", "a\0b")),
    "field-value-with-control": Fault(_with_field("X-Bad", "a\x01b")),
    "field-value-with-escape": Fault(_with_field("X-Bad", "\x1b[0m")),
    "field-value-with-del": Fault(_with_field("X-Bad", "a\x7f")),
    "field-value-not-latin-1": Fault(_with_field("X-Bad", "\u20ac")),
    "field-value-bytes": Fault(_with_field("X-Bad", b"bytes")),
    "field-value-number": Fault(_with_field("X-Bad", 7)),
    "field-name-with-lf": Fault(_with_field("X-Bad\nSet-Cookie", "stolen=1")),
    "field-name-with-control": Fault(_with_field("X-\x01Bad", "a")),
    "field-name-with-space": Fault(_with_field("X Bad", "a")),
    "field-name-with-colon": Fault(_with_field("X-Bad:", "a")),
    "field-name-empty": Fault(_with_field("", "a")),
    "field-name-not-latin-1": Fault(_with_field("X-\u20ac", "a")),
    "field-connection": Fault(_with_field("Connection", "close")),
    "field-keep-alive": Fault(_with_field("Keep-Alive", "timeout=5")),
    "field-transfer-encoding": Fault(_with_field("Transfer-Encoding", "chunked")),
    "field-upgrade": Fault(_with_field("Upgrade", "h2c")),
    "field-te": Fault(_with_field("TE", "trailers")),
    "field-trailers": Fault(_with_field("Trailers", "X-Sum")),
    "field-proxy-authenticate": Fault(_with_field("Proxy-Authenticate", "Basic")),
    "field-content-length-text": Fault(_with_field("Content-Length", "four")),
    "field-content-length-negative": Fault(_with_field("Content-Length", "-4")),
    "fields-not-a-list": Fault(fields_not_a_list),
    "field-not-a-pair": Fault(field_not_a_pair),
    "too-short": Fault(too_short, aborts=True),
}


def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """``/faulty/close-raises`` is not in ``FAULTS``: it raises, but violates no rule."""
    check_environ(environ)
    name = environ["PATH_INFO"].removeprefix("/faulty/")
    faulty = close_raises if name == "close-raises" else FAULTS[name].app
    return faulty(environ, start_response)
