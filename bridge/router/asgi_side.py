"""The ASGI side of a Router: passes each scope to its app, as the app has to see it.

Input: scopes, from an ASGI server; or from the adapter that the WSGI side uses, together with the
mount that the WSGI side has chosen. Output: a call of the mounted ASGI app with its own scope, or
of the adapter for WSGI apps, with the chosen app. Runs on: the event loop thread.

No coroutine of bridge runs between the server and an ASGI app.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Hashable, Mapping
from functools import partial
from http import HTTPStatus
from typing import cast

from bridge._http.answers import NOT_FOUND, asgi_answer, close_websocket, refused_websocket
from bridge._http.paths import NO_PATH, below_root, is_path, shown
from bridge._lifespan.many import AppState
from bridge._lifespan.runner import app_name
from bridge._lifespan.shared import SharedLifespan
from bridge.errors import ServerProtocolError
from bridge.router.mounted import mounted_asgi, mounted_wsgi
from bridge.router.mounts import Place, Plan, identity
from bridge.router.options import RouterOptions
from bridge.router.prefixes import PrefixTable
from bridge.types import AsgiApp, Receive, Scope, Send, WsgiApp

__all__ = ["AsgiSide", "refuse_websockets"]

CallWsgi = Callable[[WsgiApp, Scope, Receive, Send], Awaitable[None]]

logger = logging.getLogger("bridge.router")


class AsgiSide:
    """Finds the app of a scope, and calls it.

    :param lifespan: of the mounted apps.
    :param call_wsgi: calls a WSGI app on the threads of a pool, by the pool's options.
    :param states: what apps have stored in their state, by the identity of the app.
    :ivar http_apps: what the WSGI side calls in the adapter for ASGI apps, by prefix.
    """

    def __init__(
        self,
        plan: Plan,
        lifespan: SharedLifespan,
        call_wsgi: Mapping[RouterOptions, CallWsgi],
        states: Mapping[Hashable, AppState],
    ) -> None:
        self._lifespan = lifespan
        self._call_wsgi = call_wsgi
        self._states = states
        sockets = {p: self._websocket_app(place) for p, place in plan.websocket.items()}
        self.http_apps = {prefix: self._http_app(place) for prefix, place in plan.http.items()}
        self._find_http = PrefixTable(self.http_apps).find
        self._find_websocket = PrefixTable(sockets).find

    def _http_app(self, place: Place) -> AsgiApp:
        if place.app is None:
            return _not_found
        if place.asgi is not None:
            return self._native_app(place, place.asgi)
        return self._wsgi_app(place)

    def _websocket_app(self, place: Place) -> AsgiApp:
        if place.app is None:
            return _not_found
        if place.asgi is not None:
            return self._native_app(place, place.asgi)
        if place.options.to_asgi.websocket_threads:
            return self._wsgi_app(place)
        at = shown(place.prefix)
        reason = (
            f"the app mounted at {at!r}, {app_name(place.app)}, is a WSGI app, which cannot serve "
            f"WebSockets. Mount an ASGI app for them with websocket={{{at!r}: app}}"
        )
        return refuse_websockets(reason, logger)

    def _native_app(self, place: Place, app: AsgiApp) -> AsgiApp:
        state = self._states.get(identity(app)) or AppState()
        return mounted_asgi(place.prefix, app, state, sees_below=place.sees_below)

    def _wsgi_app(self, place: Place) -> AsgiApp:
        app = mounted_wsgi(place.prefix, cast("WsgiApp", place.wsgi))
        return partial(self._call_wsgi[place.pool], app)

    def serve(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """ASGI 3, for the server: ``http``, ``websocket`` and ``lifespan``.

        :raises ServerProtocolError: the scope has another type.
        :raises LifespanFailed: the server sends no lifespan, and a mounted app did not start.
        """
        kind = scope["type"]
        if kind == "http":
            find = self._find_http
        elif kind == "websocket":
            find = self._find_websocket
        else:
            return self._serve_lifespan(scope, receive, send)
        if not self._lifespan.is_ready:
            return self._start_and_serve(scope, receive, send)
        path = scope["path"]
        if path[:1] != "/" and not is_path(path):
            return _bad_request(scope, receive, send)
        if scope.get("root_path"):
            path = below_root(scope["root_path"], path)
        app = find(path)
        if app is None:
            return _not_found(scope, receive, send)
        return app(scope, receive, send)

    async def serve_on_wsgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3, for the adapter that the WSGI side uses: only ``lifespan``. Requests go from the
        WSGI side to one of :attr:`http_apps`.

        :raises LifespanFailed: a startup or shutdown failed.
        """
        await self._lifespan.serve(scope, receive, send, on_wsgi=True)

    async def _serve_lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            raise ServerProtocolError(
                f"scope type {scope['type']!r}; a Router takes 'http', 'websocket' and 'lifespan'"
            )
        await self._lifespan.serve(scope, receive, send)

    async def _start_and_serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._lifespan.start_for_requests()
        await self.serve(scope, receive, send)


# -- where there is no app -------------------------------------------------------------------------


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    await _refuse(404, NOT_FOUND, scope, receive, send)


async def _bad_request(scope: Scope, receive: Receive, send: Send) -> None:
    await _refuse(400, NO_PATH, scope, receive, send)


async def _refuse(status: int, text: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with an error; a WebSocket too, where the server can send it."""
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
        fields = [(b"content-type", b"text/plain; charset=utf-8")]
        body = text.encode("ascii")
        reason = HTTPStatus(status).phrase.lower()
        messages = refused_websocket(scope, status, headers=fields, body=body, reason=reason)
    else:
        messages = asgi_answer(status, text, method=scope["method"])
    for message in messages:
        await send(message)


def refuse_websockets(reason: str, log: logging.Logger) -> AsgiApp:
    """An ASGI app that refuses every WebSocket, with a line in the log.

    :param reason: for the log: why, and what to do about it.
    """

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        log.warning("refused the WebSocket %s: %s", scope["path"], reason)
        await send(close_websocket("not a WebSocket"))

    return refuse
