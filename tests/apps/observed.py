"""A WSGI app at ``/wsgi`` and an ASGI app at ``/asgi``, observed: for servers of both interfaces.

The ``X-Request-ID`` of a request is the key of the test. An observer reports ``started`` and
``ended`` with the record; the apps report what they see of it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

import bridge
from bridge.types import Environ, Receive, Scope, Send, StartResponse
from tests.harness import (
    control,
    every_line,  # noqa: F401 (imported for its effect)
)

PIECE = b"x" * 65536
FIELDS = [name for name in bridge.RequestRecord.__slots__ if not name.startswith("_")]

logger = logging.getLogger("tests.observed")
handler = logging.StreamHandler(sys.stderr)
handler.setFormatter(logging.Formatter("%(request_id)s|%(message)s"))
handler.addFilter(bridge.RequestIdFilter())
for each in (logger, logging.getLogger("bridge.access")):
    each.addHandler(handler)
    each.setLevel(logging.INFO)
    each.propagate = False


class Reporter:
    """Reports both ends of each request of a test."""

    def started(self, record: bridge.RequestRecord) -> None:
        self._report("started", record)

    def ended(self, record: bridge.RequestRecord) -> None:
        self._report("ended", record)

    def _report(self, name: str, record: bridge.RequestRecord) -> None:
        key = record.request_id or ""
        if key.startswith("key-"):
            control.report(key, name, **{each: getattr(record, each) for each in FIELDS})


# -- WSGI ------------------------------------------------------------------------------------------


def hello(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    current = bridge.current_request()
    assert current is environ["bridge.request"]
    logger.info("in the app")
    start_response("200 OK", [("Content-Length", "5"), ("X-Seen", environ["HTTP_X_REQUEST_ID"])])
    return [b"hello"]


def upload(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    stream = environ["wsgi.input"]
    size = len(stream.readline()) + sum(len(line) for line in stream)
    start_response("201 Created", [])
    return [b"%d" % size]


def stream(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [])
    yield b"a" * 10
    logger.info("in the stream")
    yield b"b" * 10


def endless(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [])
    try:
        while True:
            yield PIECE
    finally:
        control.report(environ["HTTP_X_REQUEST_ID"], "closed")


def boom(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    raise LookupError("before the response")


def late_boom(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [])
    yield b"begun"
    raise LookupError("within the response")


def file(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    content = open(__file__, "rb")  # noqa: SIM115 - the server closes it
    length = os.fstat(content.fileno()).st_size
    start_response("200 OK", [("Content-Length", str(length))])
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](content, 4096)
    return wrapped


def writing(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    write = start_response("200 OK", [("Content-Length", "10")])
    write(b"12345")
    return [b"67890"]


def empty(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("204 No Content", [])
    return []


WSGI: dict[str, Callable[[Environ, StartResponse], Iterable[bytes]]] = {
    f"/{each.__name__}": each
    for each in (hello, upload, stream, endless, boom, late_boom, file, writing, empty)
}


def wsgi_app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return WSGI[environ["PATH_INFO"]](environ, start_response)


# -- ASGI ------------------------------------------------------------------------------------------


async def _start(send: Send, status: int, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [*headers]})


async def _body(send: Send, body: bytes = b"", *, more: bool = False) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def async_hello(scope: Scope, receive: Receive, send: Send) -> None:
    assert bridge.current_request() is scope["bridge.request"]
    logger.info("in the app")
    await _start(
        send,
        200,
        (b"content-length", b"5"),
        (b"x-seen", dict(scope["headers"])[b"x-request-id"]),
    )
    await _body(send, b"hello")


async def async_upload(scope: Scope, receive: Receive, send: Send) -> None:
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message["body"])
        more = message.get("more_body", False)
    await _start(send, 201)
    await _body(send, b"%d" % size)


async def async_stream(scope: Scope, receive: Receive, send: Send) -> None:
    await _start(send, 200)
    await _body(send, b"a" * 10, more=True)
    logger.info("in the stream")
    await _body(send, b"b" * 10)


async def async_endless(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await _start(send, 200)
    disconnect = asyncio.ensure_future(receive())
    try:
        while not disconnect.done():  # after a disconnect, not every server's send() raises
            await _body(send, PIECE, more=True)
            await asyncio.sleep(0)
    finally:
        disconnect.cancel()
        control.report(scope["bridge.request"].request_id, "closed")


async def silent(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends one piece, and then nothing until the client disconnects."""
    await receive()
    await _start(send, 200)
    await _body(send, b"begun", more=True)
    await receive()


async def async_boom(scope: Scope, receive: Receive, send: Send) -> None:
    raise LookupError("before the response")


async def async_late_boom(scope: Scope, receive: Receive, send: Send) -> None:
    await _start(send, 200)
    await _body(send, b"begun", more=True)
    raise LookupError("within the response")


async def async_file(scope: Scope, receive: Receive, send: Send) -> None:
    await _start(send, 200)
    if "http.response.pathsend" in scope["extensions"]:
        await send({"type": "http.response.pathsend", "path": __file__})
    else:
        with open(__file__, "rb") as content:  # noqa: ASYNC230 - a small one
            await _body(send, content.read())


async def async_empty(scope: Scope, receive: Receive, send: Send) -> None:
    await _start(send, 204)
    await _body(send)


async def socket(scope: Scope, receive: Receive, send: Send) -> None:
    """Echoes messages until the client says ``bye``, or disconnects."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})
        if message["text"] == "bye":
            await send({"type": "websocket.close"})


async def denied(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.close"})


ASGI: dict[str, Callable[[Scope, Receive, Send], Awaitable[None]]] = {
    "/hello": async_hello,
    "/upload": async_upload,
    "/stream": async_stream,
    "/endless": async_endless,
    "/silent": silent,
    "/boom": async_boom,
    "/late_boom": async_late_boom,
    "/file": async_file,
    "/empty": async_empty,
    "/socket": socket,
    "/denied": denied,
}


async def asgi_app(scope: Scope, receive: Receive, send: Send) -> None:
    scope.setdefault("extensions", {})
    await ASGI[scope["path"].removeprefix(scope["root_path"])](scope, receive, send)


options: dict[str, Any] = {"request_start": True, "server_timing": True, "observers": [Reporter()]}
app = bridge.observe(
    bridge.Router({"/wsgi": wsgi_app, "/asgi": asgi_app}, lifespan="off"), **options
)
inner = bridge.observe(bridge.Router({"/asgi": bridge.observe(asgi_app, **options)}), **options)
