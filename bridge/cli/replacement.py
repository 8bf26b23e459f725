"""``--max-requests``: a worker that has served so many requests ends, and its master replaces it.

No request is lost. A worker ends in three steps, because a server that just stops closes
connections on which a request is already under way:

1. its responses close their connections, for :data:`LAST_RESPONSES_S`;
2. it accepts no connections any more, and answers those that it has accepted, for
   :data:`LAST_REQUESTS_S`. The other workers listen on the same socket;
3. it ends as it does on SIGTERM.

Requests are counted on the event loop, where an ASGI server calls the app. gunicorn has all of this
itself.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import random
from collections.abc import Awaitable, Callable
from typing import Any

from bridge.cli.shutdown import stop_accepting
from bridge.types import AsgiApp, Message, Receive, Scope, Send

__all__ = [
    "LAST_REQUESTS_S",
    "LAST_RESPONSES_S",
    "RequestLimit",
    "counted_asgi",
]

logger = logging.getLogger("bridge.run")

LAST_RESPONSES_S = 1.0
LAST_REQUESTS_S = 0.5


class RequestLimit:
    """Counts requests, and is reached once.

    :param requests: how many; 0 for no limit.
    :param jitter: at most so many more, a random number.
    """

    def __init__(self, requests: int, jitter: int) -> None:
        self.limit = requests + random.randint(0, jitter) if requests else 0
        self._numbers = itertools.count(1)

    def is_reached(self) -> bool:
        """Count one request. True for exactly one of them: the last within the limit."""
        if next(self._numbers) != self.limit:
            return False
        logger.info("process %d is replaced after %d requests", os.getpid(), self.limit)
        return True


def counted_asgi(app: AsgiApp, limit: RequestLimit, end: Callable[[], None]) -> AsgiApp:
    """``app``, in a process that ends after so many requests and WebSockets.

    :param end: called on the event loop. Ends the worker.
    """
    if not limit.limit:
        return app
    leaving = _LeavingLoop(end)

    def asgi(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "lifespan":
            leaving.watch_listeners(asyncio.get_running_loop())
            return app(scope, receive, send)
        if limit.is_reached():
            leaving.begin(asyncio.get_running_loop())
        if leaving.has_begun and scope["type"] == "http" and scope["http_version"] < "2":
            return app(scope, receive, _closing(send))
        return app(scope, receive, send)

    return asgi


class _LeavingLoop:
    """The end of a worker, on its event loop."""

    def __init__(self, end: Callable[[], None]) -> None:
        self.has_begun = False
        self._end = end
        self._listeners: list[asyncio.Server] = []

    def watch_listeners(self, loop: asyncio.AbstractEventLoop) -> None:
        """Remember what the server listens with: it creates that after the lifespan has started."""
        create_server = loop.create_server

        async def watched(*args: Any, **options: Any) -> asyncio.Server:
            listener: asyncio.Server = await create_server(*args, **options)
            self._listeners.append(listener)
            return listener

        loop.create_server = watched  # type: ignore[method-assign]

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self.has_begun = True
        loop.call_later(LAST_RESPONSES_S, self._stop_listening, loop)

    def _stop_listening(self, loop: asyncio.AbstractEventLoop) -> None:
        for listener in self._listeners:
            stop_accepting(listener, loop)
        loop.call_later(LAST_REQUESTS_S, self._end)


def _closing(send: Send) -> Send:
    """``send`` of a response after which the server closes the connection (RFC 9112, 9.6)."""

    async def closing_send(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [each for each in message.get("headers", ()) if each[0] != b"connection"]
            message = {**message, "headers": [*headers, (b"connection", b"close")]}
        await send(message)

    return closing_send
