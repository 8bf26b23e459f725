"""The ASGI side of a Router: passes each scope to its app, as the app has to see it.

Input: scopes, from an ASGI server; or from the adapter that the WSGI side uses, together with the
mount that the WSGI side has chosen. Output: a call of the mounted ASGI app with its own scope, or
of the adapter for WSGI apps, with the chosen app. Runs on: the event loop thread.

ASGI HTTP specification 2.3: ``root_path`` is where the app is mounted, and ``path`` includes it. If
a server has removed it from ``path``, it is added again for mounted apps. ``raw_path`` is what the
client has sent, and changes only together with ``path``.

An app that is mounted at ``/`` and has stored nothing in the lifespan's state gets the server's own
scope: nothing has to be changed. No coroutine of bridge runs between the server and an app.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Hashable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol, cast
from urllib.parse import unquote_to_bytes

from bridge._frameworks.facts import ROUTING_KEYS
from bridge._http.answers import (
    NOT_FOUND,
    asgi_answer,
    close_websocket,
    refused_websocket,
    send_answer,
)
from bridge._http.client_text import ClientText, literal
from bridge._http.paths import NO_PATH, below, below_root, include_root_path, is_path, quoted, shown
from bridge._http.prefixes import PrefixTable
from bridge._lifespan.many import AppState
from bridge._lifespan.runner import app_name
from bridge._lifespan.shared import SharedLifespan
from bridge._observe.asgi import ObservedAsgi
from bridge._observe.settings import Settings
from bridge._repeated_log import RepeatedLog
from bridge.errors import ServerProtocolError
from bridge.router.mounts import Place, Plan, identity
from bridge.router.options import RouterOptions
from bridge.router.wsgi_side import mounted_wsgi
from bridge.types import AsgiApp, Receive, Scope, Send, WsgiApp

__all__ = ["AsgiSide", "refuse_websockets"]


class CallWsgi(Protocol):
    """Calls a WSGI app: :class:`~bridge.WsgiToAsgi`."""

    def __call__(
        self, scope: Scope, receive: Receive, send: Send, *, app: WsgiApp
    ) -> Awaitable[None]: ...


logger = logging.getLogger("bridge.router")


class _Route:
    """An app, and how its scope differs from the server's.

    :ivar state: what the app has stored in its state; None if it gets the server's own scope.
    :ivar is_adapted: it is called through an adapter.
    :ivar sees_below: its ``path`` begins after the prefix.
    """

    __slots__ = ("app", "is_adapted", "prefix", "sees_below", "state")

    def __init__(
        self,
        app: AsgiApp,
        prefix: str = "",
        state: AppState | None = None,
        *,
        sees_below: bool = False,
        is_adapted: bool = False,
    ) -> None:
        self.app = app
        self.is_adapted = is_adapted
        self.prefix = prefix
        self.state = state
        self.sees_below = sees_below

    def serve(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """ASGI 3, for scopes that have been chosen for this app."""
        state = self.state
        if state is not None:
            scope = _scope_for(self, state, scope)
        return self.app(scope, receive, send)


class AsgiSide:
    """Finds the app of a scope, and calls it.

    :param lifespan: of the mounted apps.
    :param adapters: for WSGI apps: one for each pool, by the pool's options.
    :param states: what apps have stored in their state, by the identity of the app.
    :ivar http_apps: what the WSGI side calls in the adapter for ASGI apps, by prefix.
    :ivar websocket_apps: likewise, for WebSockets.
    """

    def __init__(
        self,
        plan: Plan,
        lifespan: SharedLifespan,
        adapters: Mapping[RouterOptions, CallWsgi],
        states: Mapping[Hashable, AppState],
    ) -> None:
        self._lifespan = lifespan
        self._adapters = adapters
        self._states = states
        http = {prefix: self._http_route(place) for prefix, place in plan.http.items()}
        sockets = {p: self._websocket_route(place) for p, place in plan.websocket.items()}
        self.http_apps = {prefix: route.serve for prefix, route in http.items()}
        self.websocket_apps = {prefix: route.serve for prefix, route in sockets.items()}
        routes = [*http.values(), *sockets.values()]
        self._own_routes = [route for route in routes if not route.is_adapted]
        self._not_found: AsgiApp = _not_found
        self._bad_request: AsgiApp = _bad_request
        self._find_http = PrefixTable(http).find
        self._find_websocket = PrefixTable(sockets).find

    def _http_route(self, place: Place) -> _Route:
        if place.app is None:
            return _Route(_not_found)
        if place.asgi is None:
            return self._wsgi_route(place)
        return self._native_route(place, place.asgi)

    def _websocket_route(self, place: Place) -> _Route:
        if place.app is None:
            return _Route(_not_found)
        if place.asgi is not None:
            return self._native_route(place, place.asgi)
        if place.options.to_asgi.websocket_threads:
            return self._wsgi_route(place)
        at = shown(place.prefix)
        reason = (
            f"the app mounted at {at!r}, {app_name(place.app)}, is a WSGI app, which cannot serve "
            f"WebSockets. Mount an ASGI app for them with websocket={{{at!r}: app}}"
        )
        return _Route(refuse_websockets(reason, logger))

    def _native_route(self, place: Place, app: AsgiApp) -> _Route:
        state = self._states.get(identity(app)) or AppState()
        return _Route(app, place.prefix, state, sees_below=place.sees_below)

    def _wsgi_route(self, place: Place) -> _Route:
        app = mounted_wsgi(place.prefix, cast("WsgiApp", place.wsgi))
        adapter = partial(self._adapters[place.pool], app=app)
        return _Route(adapter, is_adapted=True)  # it changes the environ

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
            return self._bad_request(scope, receive, send)
        if scope.get("root_path"):
            path = below_root(scope["root_path"], path)
        route = find(path)
        if route is None:
            return self._not_found(scope, receive, send)
        state = route.state
        if state is not None and (
            state.namespace or route.prefix or route.sees_below or "router" in scope
        ):
            scope = _scope_for(route, state, scope)
        return route.app(scope, receive, send)

    def observe(self, settings: Settings) -> None:
        """Let a middleware see the requests that go through no adapter, from now on."""
        for route in self._own_routes:
            route.app = ObservedAsgi(route.app, settings)
        self._not_found = ObservedAsgi(_not_found, settings)
        self._bad_request = ObservedAsgi(_bad_request, settings)

    async def serve_on_wsgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3, for the adapter that the WSGI side uses: only ``lifespan``. Requests go from the
        WSGI side to one of :attr:`http_apps`.

        :raises LifespanFailed: a startup or shutdown failed.
        """
        await self._lifespan.serve(scope, receive, send, on_wsgi=True)

    async def _serve_lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            raise ServerProtocolError(
                f"scope type {literal(scope['type'])}; a Router takes 'http', 'websocket' "
                "and 'lifespan'"
            )
        await self._lifespan.serve(scope, receive, send)

    async def _start_and_serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._lifespan.start_for_requests()
        await self.serve(scope, receive, send)


# -- the scope of a mounted app --------------------------------------------------------------------


def _scope_for(route: _Route, state: AppState, scope: Scope) -> Scope:
    """The scope for the app: the server's own if nothing differs, or a copy (ASGI specification,
    "Middleware": never change the server's)."""
    added = state.namespace and state.added()
    if not (route.prefix or added or route.sees_below or "router" in scope):
        return scope
    copy = {**scope}
    if added:
        copy["state"] = {**(scope.get("state") or {}), **added}
    if "router" in copy:
        for key in ROUTING_KEYS:
            copy.pop(key, None)
    if route.prefix or route.sees_below:
        if copy.get("root_path"):
            include_root_path(copy)
        copy["root_path"] = (copy.get("root_path") or "") + route.prefix
    if route.sees_below:
        _strip_root_path(copy)
    return copy


def _strip_root_path(copy: dict[str, Any]) -> None:
    """Remove ``root_path`` from ``path`` and ``raw_path``."""
    root = copy["root_path"]
    rest = below(root, copy["path"])
    if rest is None:  # the * of OPTIONS *
        return
    copy["path"] = rest or "/"
    raw_path = copy.get("raw_path")
    if raw_path is not None:
        raw_root = b"/".join(raw_path.split(b"/", root.count("/") + 1)[: root.count("/") + 1])
        if unquote_to_bytes(raw_root) == root.encode("utf-8"):
            copy["raw_path"] = raw_path[len(raw_root) :] or b"/"
        else:  # an encoded slash in the prefix itself
            copy["raw_path"] = quoted(copy["path"]).encode("ascii")


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
    await send_answer(send, messages, logger)


def refuse_websockets(reason: str, log: logging.Logger) -> AsgiApp:
    """An ASGI app that refuses every WebSocket, with a line in the log.

    :param reason: for the log: why, and what to do about it.
    """
    repeated = RepeatedLog(log)

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        repeated.warning("refused the WebSocket %s: %s", ClientText(scope["path"]), reason)
        await send(close_websocket("not a WebSocket"))

    return refuse
