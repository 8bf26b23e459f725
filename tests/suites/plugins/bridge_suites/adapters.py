"""The double crossing: an app through one adapter and back through the other.

``BRIDGE_SUITES_THROUGH`` says whose adapters: ``bridge``, ``a2wsgi``, or ``nothing``.
"""

from __future__ import annotations

import asyncio
import functools
import os
import threading
import time
from collections.abc import Callable
from typing import Any

__all__ = [
    "asgi_crossing",
    "counted",
    "crossings",
    "through",
    "wsgi_crossing",
    "wsgi_to_asgi",
]
MAX_WAIT_S = 5
CALL = "bridge_suites.call"

_count = 0


def through() -> str:
    """Whose adapters."""
    return os.environ["BRIDGE_SUITES_THROUGH"]


def crossings() -> int:
    """How many requests have been sent through a crossing so far, and how many calls."""
    return _count


def wsgi_crossing(app: Any) -> Any:
    """A WSGI app that runs a WSGI app behind an ASGI app."""
    crossed = _asgi_to_wsgi(_wsgi_to_asgi(app))

    def cross(environ: Any, start_response: Any) -> Any:
        _add_one()
        return crossed(environ, start_response)

    return cross


def asgi_crossing(app: Any, *, before: Callable[[], None] | None = None) -> Any:
    """An ASGI app whose HTTP requests reach an ASGI app through a WSGI app.

    The app's lifespan with its state, and its WebSockets, for which WSGI has no words, reach it
    directly. As without a crossing, a call returns when the app's own call has ended: test clients
    wait for that, where a server sends the response.

    :param before: called on the thread of the WSGI app, before each request.
    """
    state: dict[str, Any] = {}

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        scope["state"] = state.copy()
        call = scope.get(CALL, _Call())  # a2wsgi does not pass it on, and waits by itself
        call.begun = True
        try:
            await app(scope, receive, send)
        finally:
            call.ended.set()

    # a2wsgi passes names with underscores on; bridge does so on request.
    options = {"underscore_headers": "keep"} if through() == "bridge" else {}
    wsgi_app = _asgi_to_wsgi(inner)

    def middle(environ: Any, start_response: Any) -> Any:
        if before is not None:
            before()
        return wsgi_app(environ, start_response)

    crossed = _wsgi_to_asgi(middle, **options)

    async def cross(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        _add_one()
        state.update(scope.get("state", {}))
        call = _Call()
        try:
            await crossed({**scope, CALL: call}, receive, send)
        except asyncio.CancelledError:
            if call.begun:
                call.ended.wait(MAX_WAIT_S)
            raise
        until = time.monotonic() + MAX_WAIT_S
        while call.begun and not call.ended.is_set() and time.monotonic() < until:
            await asyncio.sleep(0.001)

    return cross


class _Call:
    """A call of an ASGI app behind a crossing."""

    def __init__(self) -> None:
        self.begun = False
        self.ended = threading.Event()


def wsgi_to_asgi(app: Any, **options: Any) -> Any:
    """A single crossing: a WSGI app as an ASGI app."""
    crossed = _wsgi_to_asgi(app, **options)

    async def cross(scope: Any, receive: Any, send: Any) -> None:
        _add_one()
        await crossed(scope, receive, send)

    return cross


def counted(function: Any) -> Any:
    """The same function; a call counts as a crossing."""

    @functools.wraps(function)
    def count(*args: Any, **kwargs: Any) -> Any:
        _add_one()
        return function(*args, **kwargs)

    return count


def _wsgi_to_asgi(app: Any, **options: Any) -> Any:
    if through() == "a2wsgi":
        from a2wsgi import WSGIMiddleware

        return WSGIMiddleware(app, **options)
    from bridge.wsgi_to_asgi import WsgiToAsgi

    return WsgiToAsgi(app, **options)


def _asgi_to_wsgi(app: Any) -> Any:
    if through() == "a2wsgi":
        from a2wsgi import ASGIMiddleware

        return ASGIMiddleware(app, loop=_loop())
    from bridge.asgi_to_wsgi import AsgiToWsgi

    return AsgiToWsgi(app, lifespan="off")


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    """One loop for all requests, as with bridge. a2wsgi would start one for each adapter."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return loop


def _add_one() -> None:
    global _count
    _count += 1
