"""Layers around an adapter that set context variables while it sends the response.

``asgi`` is an ASGI middleware around a WSGI app, ``wsgi`` a WSGI layer around an ASGI app. Each
response shows what the inner app, or the layer, has found in the variable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any

import bridge
from bridge.types import Environ, Message, Receive, ResponseHeaders, Scope, Send, StartResponse

user: ContextVar[str] = ContextVar("user", default="-")

PLAIN = [("Content-Type", "text/plain")]


def streams(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """Responds with the variable: before anything is sent, and after the head and a chunk."""
    start_response("200 OK", PLAIN)
    yield user.get().encode()
    yield f" {user.get()}".encode()


streaming = bridge.to_asgi(streams)


async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
    """Sets the variable with the head."""

    async def set_and_send(message: Message) -> None:
        if message["type"] == "http.response.start":
            user.set("sent")
        await send(message)

    await streaming(scope, receive, set_and_send)


async def asgi_streams(scope: Scope, receive: Receive, send: Send) -> None:
    """Two chunks, and a variable of the app's own."""
    if scope["type"] != "http":
        return
    user.set("app")
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"1", "more_body": True})
    await send({"type": "http.response.body", "body": b"2"})


adapted = bridge.to_wsgi(asgi_streams)


def wsgi(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Sets the variable in ``start_response``; responds with it after the end of the stream."""

    def set_and_start(status: str, headers: ResponseHeaders, exc_info: Any = None) -> Any:
        found = user.get()
        user.set(f"{found} started")
        return start_response(status, headers, exc_info)

    result: Any = adapted(environ, set_and_start)
    try:
        yield from result
        yield f" {user.get()}".encode()
    finally:
        if hasattr(result, "close"):
            result.close()
        user.set("-")
