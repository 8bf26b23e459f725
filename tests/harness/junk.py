"""Requests with texts that a client has made up, each of them once.

Every text of a request has the marker of its test: :mod:`tests.harness.memory` finds what is kept
of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from bridge.types import AsgiApp, Environ, Message, Scope, WsgiApp
from tests.harness.asgi import body_message, http_scope
from tests.harness.wsgi import call, environ_of

__all__ = ["KINDS", "MOST", "send_junk", "send_junk_handshakes", "send_junk_to_wsgi"]

KINDS = {"few and long": (100, 100_000), "many and short": (3000, 10)}
"""How many requests, and how long each of their texts is, without its marker and number."""
MOST = 300_000
"""Bytes that may be kept of all of them: three texts of ``few and long``, or two short ones of each
request of ``many and short``."""


def _texts(marker: str, kind: str) -> Iterator[str]:
    """One text for each request."""
    count, length = KINDS[kind]
    return (f"{marker}{number}{'a' * length}" for number in range(count))


async def send_junk(app: AsgiApp, marker: str, kind: str, paths: tuple[str, ...]) -> list[int]:
    """Send all requests to paths below ``paths``, in turn, and return their statuses."""
    return [
        await _status_of(app, _scope(text, paths[number % len(paths)]))
        for number, text in enumerate(_texts(marker, kind))
    ]


def send_junk_to_wsgi(app: WsgiApp, marker: str, kind: str, paths: tuple[str, ...]) -> list[int]:
    """The same for a WSGI app."""
    return [
        call(app, _environ(text, paths[number % len(paths)]), validate=False).status
        for number, text in enumerate(_texts(marker, kind))
    ]


async def send_junk_handshakes(app: AsgiApp, marker: str, kind: str) -> set[str]:
    """Open WebSockets that the app refuses, and return the types of its messages."""
    types = set()

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        types.add(message["type"])

    for text in _texts(marker, kind):
        scope = {**_scope(text, "/"), "type": "websocket", "subprotocols": [text]}
        await app(scope, receive, send)
    return types


async def _status_of(app: AsgiApp, scope: Scope) -> int:
    statuses: list[int] = []
    pending = [body_message()]

    async def receive() -> Message:
        if not pending:
            await asyncio.Event().wait()  # the client stays connected
        return pending.pop()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, send)
    [status] = statuses
    return status


def _scope(text: str, path: str) -> Scope:
    raw = text.encode()
    return http_scope(
        text.upper(),
        path + text,
        query=raw,
        headers=[(b"x-" + raw, raw), (b"x_" + raw, raw)],
        server=(text, 80),
        scheme=text,
        http_version=text,
    )


def _environ(text: str, path: str) -> Environ:
    return environ_of(
        text.upper(),
        path + text,
        query=text,
        headers=((f"x-{text}", text), ("host", text)),
        SERVER_NAME=text,
        SERVER_PROTOCOL=f"HTTP/{text}",
        keys={"wsgi.url_scheme": text},
    )
