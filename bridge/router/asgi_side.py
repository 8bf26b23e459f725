"""The ASGI side of a Router: passes each scope to its app, as the app has to see it.

Input: scopes, from an ASGI server, or from the adapter that the WSGI side uses. Output: a call of
the mounted ASGI app with its own scope, or of the adapter around the WSGI side. Runs on: the event
loop thread.

ASGI HTTP specification 2.3: ``root_path`` is where the app is mounted, and ``path`` includes it. If
a server has removed it from ``path``, it is added again for mounted apps. ``raw_path`` is what the
client has sent, and changes only together with ``path``.

An app that is mounted at ``/`` and has stored nothing in the lifespan's state gets the server's own
scope: nothing has to be changed. No coroutine of bridge runs between the server and an app.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Hashable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from bridge._frameworks.facts import ROUTING_KEYS
from bridge._http.answers import NOT_FOUND, asgi_answer, close_websocket, refused_websocket
from bridge._http.paths import below, normal_root, path_of_target, quoted, shown
from bridge._lifespan.many import AppState
from bridge._lifespan.runner import app_name
from bridge._lifespan.shared import SharedLifespan
from bridge.errors import ServerProtocolError
from bridge.router.mounts import Place, Plan, identity
from bridge.router.options import RouterOptions
from bridge.router.prefixes import PrefixTable
from bridge.types import AsgiApp, Receive, Scope, Send

__all__ = ["AsgiSide", "refuse_websockets"]

logger = logging.getLogger("bridge.router")


class _Route:
    """An app, and how its scope differs from the server's.

    :ivar state: what the app has stored in its state; None if it gets the server's own scope.
    :ivar sees_below: its ``path`` begins after the prefix.
    """

    __slots__ = ("app", "prefix", "sees_below", "state")

    def __init__(
        self,
        app: AsgiApp,
        prefix: str = "",
        state: AppState | None = None,
        *,
        sees_below: bool = False,
    ) -> None:
        self.app = app
        self.prefix = prefix
        self.state = state
        self.sees_below = sees_below


class AsgiSide:
    """Finds the app of a scope, and calls it.

    :param lifespan: of the mounted apps.
    :param adapters: around the WSGI side: one for each pool, by the pool's options.
    :param states: what apps have stored in their state, by the identity of the app.
    """

    def __init__(
        self,
        plan: Plan,
        lifespan: SharedLifespan,
        adapters: Mapping[RouterOptions, AsgiApp],
        states: Mapping[Hashable, AppState],
    ) -> None:
        self._lifespan = lifespan
        self._adapters = adapters
        self._states = states
        http = {prefix: self._http_route(place) for prefix, place in plan.http.items()}
        sockets = {p: self._websocket_route(place) for p, place in plan.websocket.items()}
        self._find_http = PrefixTable(http).find
        self._find_websocket = PrefixTable(sockets).find

    def _http_route(self, place: Place) -> _Route:
        if place.app is None:
            return _Route(_not_found)
        if place.asgi is None:
            return _Route(self._adapters[place.pool])  # the WSGI side changes the environ
        return self._native_route(place, place.asgi)

    def _websocket_route(self, place: Place) -> _Route:
        if place.app is None:
            return _Route(_not_found)
        if place.asgi is not None:
            return self._native_route(place, place.asgi)
        if place.options.to_asgi.websocket_threads:
            return _Route(self._adapters[place.pool])
        at = shown(place.prefix)
        reason = (
            f"the app mounted at {at!r}, {app_name(place.app)}, is a WSGI app, which cannot serve "
            f"WebSockets. Mount an ASGI app for them with websocket={{{at!r}: app}}"
        )
        return _Route(refuse_websockets(reason, logger))

    def _native_route(self, place: Place, app: AsgiApp) -> _Route:
        state = self._states.get(identity(app)) or AppState()
        return _Route(app, place.prefix, state, sees_below=place.sees_below)

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
        if path[:1] != "/" and path != "*":
            scope = _without_authority(scope)
            path = scope["path"]
        if scope.get("root_path"):
            rest = below(normal_root(scope["root_path"]), path)
            path = path if rest is None else rest
        route = find(path)
        if route is None:
            return _not_found(scope, receive, send)
        state = route.state
        if state is not None:
            added = state.namespace and state.added()
            if route.prefix or added or route.sees_below or "router" in scope:
                scope = _scope_for(route, added, scope)
        return route.app(scope, receive, send)

    async def serve_on_wsgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3, for the adapter that the WSGI side uses.

        :raises LifespanFailed: a startup or shutdown failed.
        """
        if scope["type"] == "lifespan":
            await self._lifespan.serve(scope, receive, send, on_wsgi=True)
        else:
            await self.serve(scope, receive, send)

    async def _serve_lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            raise ServerProtocolError(
                f"scope type {scope['type']!r}; a Router takes 'http', 'websocket' and 'lifespan'"
            )
        await self._lifespan.serve(scope, receive, send)

    async def _start_and_serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._lifespan.start_for_requests()
        await self.serve(scope, receive, send)


# -- the scope of a mounted app --------------------------------------------------------------------


def _without_authority(scope: Scope) -> Scope:
    """The scope of a request for a whole URI, with the path of the URI. hypercorn and daphne pass
    on the whole request target.
    """
    raw_path: bytes = scope.get("raw_path") or b""
    return {
        **scope,
        "path": path_of_target(scope["path"]),
        "raw_path": path_of_target(raw_path.decode("latin-1")).encode("latin-1"),
    }


def _scope_for(route: _Route, added: dict[str, Any], scope: Scope) -> Scope:
    """A copy of the scope for the app (ASGI specification, "Middleware": never change the
    server's)."""
    copy = {**scope}
    if added:
        copy["state"] = {**(scope.get("state") or {}), **added}
    if "router" in copy:
        for key in ROUTING_KEYS:
            copy.pop(key, None)
    if route.prefix or route.sees_below:
        root_path = scope.get("root_path")
        if root_path:
            _normalize_root_path(copy, root_path)
        copy["root_path"] = (copy["root_path"] if root_path else "") + route.prefix
    if route.sees_below:
        _strip_root_path(copy)
    return copy


def _normalize_root_path(copy: dict[str, Any], root_path: str) -> None:
    """Make ``root_path`` normal, and make ``path`` include it."""
    copy["root_path"] = root = normal_root(root_path)
    path = copy["path"]
    if below(root, path) is not None:
        return
    copy["path"] = root + path
    raw_path = copy.get("raw_path")
    if raw_path is not None:
        copy["raw_path"] = quoted(root).encode("ascii") + raw_path


def _strip_root_path(copy: dict[str, Any]) -> None:
    """Remove ``root_path`` from ``path`` and ``raw_path``."""
    root, path = copy["root_path"], copy["path"]
    copy["path"] = path[len(root) :] or "/"
    raw_path = copy.get("raw_path")
    if raw_path is not None:
        raw_root = b"/".join(raw_path.split(b"/", root.count("/") + 1)[: root.count("/") + 1])
        if unquote_to_bytes(raw_root) == root.encode("utf-8"):
            copy["raw_path"] = raw_path[len(raw_root) :] or b"/"
        else:  # an encoded slash in the prefix itself
            copy["raw_path"] = quoted(copy["path"]).encode("ascii")


# -- where there is no app -------------------------------------------------------------------------


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """404; for a WebSocket too, where the server can send it."""
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
        fields = [(b"content-type", b"text/plain; charset=utf-8")]
        body = NOT_FOUND.encode("ascii")
        messages = refused_websocket(scope, 404, headers=fields, body=body, reason="not found")
    else:
        messages = asgi_answer(404, NOT_FOUND, method=scope["method"])
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
