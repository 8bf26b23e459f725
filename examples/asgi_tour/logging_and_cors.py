"""Middleware: apps that wrap an app. One logs each request, one adds CORS headers.

::

    uvicorn logging_and_cors:app
    gunicorn logging_and_cors:wsgi_app

    curl -i http://127.0.0.1:8000/ -H "Origin: http://localhost:3000"
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection

import bridge
from bridge.types import AsgiApp, Message, Receive, Scope, Send

logger = logging.getLogger("tour.requests")
logger.addHandler(logging.StreamHandler())
logger.setLevel(logging.INFO)
logger.propagate = False


def with_logging(app: AsgiApp) -> AsgiApp:
    """Log method, path, status and duration of each request, including failed ones."""

    async def logged(scope: Scope, receive: Receive, send: Send) -> None:
        started, status = time.perf_counter(), "no response"

        async def send_and_record(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await app(scope, receive, send_and_record)
        finally:
            if scope["type"] == "http":
                took_ms = (time.perf_counter() - started) * 1000
                logger.info("%s %s %s in %.1f ms", scope["method"], scope["path"], status, took_ms)

    return logged


def with_cors(app: AsgiApp, *, origins: Collection[str]) -> AsgiApp:
    """Allow pages from these origins to read the responses (Fetch standard, section 3.3)."""

    async def shared(scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"]) if scope["type"] == "http" else {}
        origin = headers.get(b"origin", b"")
        allow = [(b"access-control-allow-origin", origin), (b"vary", b"Origin")]

        async def send_with_cors(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *allow]}
            await send(message)

        if origin.decode("latin-1") not in origins:
            await app(scope, receive, send)
        elif scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            await answer_preflight(send, allow)
        else:
            await app(scope, receive, send_with_cors)

    return shared


async def answer_preflight(send: Send, allow: list[tuple[bytes, bytes]]) -> None:
    """Answer the request that a browser sends before a cross-origin request with custom headers."""
    methods = (b"access-control-allow-methods", b"GET, POST")
    fields = (b"access-control-allow-headers", b"content-type")
    headers = [*allow, methods, fields]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """The wrapped app, independent of both middleware."""
    if scope["type"] != "http":
        raise NotImplementedError(f"unsupported scope type: {scope['type']}")
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"Hello from behind two middleware.\n"})


app = with_logging(with_cors(hello, origins={"http://localhost:3000"}))

wsgi_app = bridge.to_wsgi(app)
