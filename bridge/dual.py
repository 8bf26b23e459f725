"""An object with two faces: ASGI servers call it as ASGI 3, WSGI servers as PEP 3333. Pure.

What enters: ``(scope, receive, send)`` or ``(environ, start_response)``, told apart by their
number. What leaves: what the face answers. Runs where the server calls it.

Servers look at an app before they call it, each in its own way, and all of them have to see ASGI 3:

=====================  =============================================================================
uvicorn                ``iscoroutinefunction(app.__call__)``: inspect's, on 3.11 asyncio's
hypercorn              inspect's ``iscoroutinefunction(app.__call__)``
daphne, Channels       asgiref's ``_asgi_single_callable``, then ``iscoroutinefunction``
granian, gunicorn      do not look: ``--interface`` and ``-k`` say it
WSGI servers           do not look either
=====================  =============================================================================

``__call__`` is not ``async def``, as a WSGI server could not call it then; it is marked as one.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Iterable
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
    """What is an ASGI app and a WSGI app at once.

    :ivar asgi: the ASGI 3 face alone.
    :ivar wsgi: the PEP 3333 face alone.
    """

    __bridge_interface__: Interface = "asgi"  # the one that can carry everything
    _asgi_single_callable = True

    def __init__(self, asgi: AsgiApp, wsgi: WsgiApp) -> None:
        self.asgi = asgi
        self.wsgi = wsgi
        if sys.version_info < (3, 12):  # inspect knows no marks there: servers see this instead
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
