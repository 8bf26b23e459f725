"""The routing table of the ASGI conformance app, and helpers for its routes.

:func:`route` adds an app to ``ROUTES``. The control channel (``tests.harness.control``) blocks, so
apps use it on separate threads.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs

from bridge.types import AsgiApp, RawHeaders, Receive, Scope, Send
from tests.harness import control

PLAIN: RawHeaders = [(b"content-type", b"text/plain; charset=utf-8")]
ROUTES: dict[str, AsgiApp] = {}

current_user: contextvars.ContextVar[str] = contextvars.ContextVar("asgi_user", default="-")

_channels = ThreadPoolExecutor(64, "test-channel")


class Boom(Exception):
    """The exception of these apps. Its message is the test's key, to find it in a log."""


def route(path: str) -> Callable[[AsgiApp], AsgiApp]:
    """Serve an app at ``path`` and below it."""

    def add(app: AsgiApp) -> AsgiApp:
        ROUTES[path] = app
        return app

    return add


async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
    """Call the route with the longest matching path."""
    path: str = scope["path"].removeprefix(scope["root_path"])
    while path and path not in ROUTES:
        path = path.rpartition("/")[0]
    await ROUTES.get(path, not_found)(scope, receive, send)


async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, b"no such route", status=404)


def query(scope: Scope) -> dict[str, str]:
    """The query string as a dict, decoded as latin-1, so that it can contain any byte."""
    text = scope["query_string"].decode("latin-1")
    pairs = parse_qs(text, keep_blank_values=True, encoding="latin-1")
    return {name: values[-1] for name, values in pairs.items()}


async def start(send: Send, headers: RawHeaders = PLAIN, status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def more(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def end(send: Send, body: bytes = b"") -> None:
    await send({"type": "http.response.body", "body": body})


async def respond(send: Send, body: bytes, headers: RawHeaders = PLAIN, status: int = 200) -> None:
    """Send a complete response with its length."""
    await start(send, [*headers, (b"content-length", b"%d" % len(body))], status)
    await end(send, body)


async def as_json(send: Send, value: object) -> None:
    await respond(send, json.dumps(value).encode(), [(b"content-type", b"application/json")])


def where() -> dict[str, object]:
    """The process, thread and context that the caller runs in."""
    return {
        "pid": os.getpid(),
        "thread": threading.get_ident(),
        "thread_name": threading.current_thread().name,
        "user": current_user.get(),
    }


async def report(key: str, name: str, **facts: object) -> None:
    """Report to the test, see :func:`tests.harness.control.report`."""
    await _on_channel_thread(lambda: control.report(key, name, **facts))


async def gate(key: str, name: str) -> None:
    """Wait at a gate, see :func:`tests.harness.control.gate`."""
    await _on_channel_thread(lambda: control.gate(key, name))


def _on_channel_thread(call: Callable[[], Any]) -> Awaitable[Any]:
    # Shielded: a report must arrive even if its sender is cancelled.
    return asyncio.shield(asyncio.get_running_loop().run_in_executor(_channels, call))
