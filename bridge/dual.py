"""An object with both interfaces: ASGI servers call it as ASGI 3, WSGI servers as PEP 3333. Pure.

Input: ``(scope, receive, send)`` or ``(environ, start_response)``, distinguished by the number of
arguments. Output: what the app of that interface returns. Runs on: the server's thread.

Servers inspect an app before they call it, and all of them must detect ASGI 3: ``__call__`` is
marked as a coroutine function. It cannot be ``async def``, because WSGI servers call it, too.
``bridge/_frameworks/facts.py`` lists what each server inspects.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any, overload

from asgiref.sync import markcoroutinefunction

from bridge.types import (
    AsgiApp,
    Environ,
    Interface,
    Receive,
    Scope,
    Send,
    StartResponse,
    WsgiApp,
)

__all__ = ["Universal"]


class Universal:
    """An ASGI app and a WSGI app in one object.

    :ivar asgi: the ASGI 3 interface alone.
    :ivar wsgi: the PEP 3333 interface alone.
    :ivar mount_options: options of a Router that mounts it which take precedence for this app.
    :ivar needs_start: whether its lifespan has to start before its first request. If not, it starts
        only on servers that send a lifespan.
    """

    __bridge_interface__: Interface = "asgi"  # the one with WebSockets and lifespan
    _asgi_single_callable = True

    def __init__(self, asgi: AsgiApp, wsgi: WsgiApp) -> None:
        self.asgi = asgi
        self.wsgi = wsgi
        self.mount_options: Mapping[str, Any] = {}
        self.needs_start = True
        if sys.version_info < (3, 12):  # inspect has no such mark: servers find a real one
            self.__dict__["__call__"] = _as_coroutine_function(asgi)

    @overload
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]: ...

    @overload
    def __call__(self, environ: Environ, start_response: StartResponse, /) -> Iterable[bytes]: ...

    @markcoroutinefunction
    def __call__(self, scope: Any, receive: Any, send: Any = None) -> Any:
        """ASGI 3 with three arguments, PEP 3333 with two. daphne passes them by name."""
        if send is None:
            return self.wsgi(scope, receive)
        return self.asgi(scope, receive, send)


def _as_coroutine_function(asgi: AsgiApp) -> AsgiApp:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await asgi(scope, receive, send)

    return call
