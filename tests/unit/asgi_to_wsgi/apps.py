"""Small apps and messages for the in-process tests of ``AsgiToWsgi``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from bridge.types import AsgiApp, Receive, Scope, Send

Body = Callable[[Scope, Receive, Send], Awaitable[None]]


def http_app(body: Body) -> AsgiApp:
    """An app without a lifespan."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "this app has no lifespan"
        await body(scope, receive, send)

    app.__qualname__ = getattr(body, "__qualname__", "app")
    return app


def start(status: Any = 200, *headers: Any, **extra: Any) -> dict[str, Any]:
    """An ``http.response.start`` message, with a type where ``wsgiref.validate`` requires one."""
    fields = headers if status in (204, 304) else ((b"content-type", b"text/plain"), *headers)
    return {"type": "http.response.start", "status": status, "headers": fields, **extra}


def piece(body: Any = b"", *, more: bool = True) -> dict[str, Any]:
    """An ``http.response.body`` message."""
    return {"type": "http.response.body", "body": body, "more_body": more}


async def respond(send: Send, body: bytes = b"fine", status: int = 200) -> None:
    """Send a whole response."""
    await send(start(status, (b"content-length", b"%d" % len(body))))
    await send(piece(body, more=False))


def sends(*messages: Any) -> AsgiApp:
    """An app that sends these messages and returns."""

    async def script(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return http_app(script)


async def read_all(receive: Receive) -> tuple[bytes, list[str]]:
    """Receive the request body. Returns it with the types of its messages."""
    body, kinds, more = b"", list[str](), True
    while more:
        message = await receive()
        kinds.append(message["type"])
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body, kinds
