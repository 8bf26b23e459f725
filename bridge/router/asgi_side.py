"""A Router's ASGI face: the scope becomes the app's view of it, and is passed on.

What enters: scopes, on the event loop of an ASGI server, or on ours for the WSGI face. What leaves:
a call of the mounted ASGI app with a scope of its own, or of the adapter to the WSGI face.

ASGI HTTP spec 2.3: ``root_path`` is where the app is mounted, and ``path`` includes it. Where a
server has taken it off ``path``, it is put back for mounted apps. ``raw_path`` is what the client
sent, and changes only with ``path``.

Where the app is mounted at ``/`` and has left nothing in the lifespan's state, it gets the server's
own scope: there is nothing to change. No coroutine of ours is between the server and an app.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Hashable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

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
from bridge.wsgi_to_asgi.adapter import WsgiToAsgi

__all__ = ["AsgiSide"]

logger = logging.getLogger("bridge.router")

_ROUTERS_OWN = ("router", "app_root_path", "endpoint", "path_params", "route")
"""What Starlette's routing leaves in a scope for the rest of the same app. A mounted app is another
one: with these it would build the URLs of the outer one."""


class _Route:
    """One app, and how its scope differs from the server's.

    :ivar share: what the app has left in its state; None if it gets the server's own scope.
    """

    __slots__ = ("app", "below", "prefix", "share")

    def __init__(
        self, app: AsgiApp, prefix: str = "", share: AppState | None = None, *, below: bool = False
    ) -> None:
        self.app = app
        self.prefix = prefix
        self.share = share
        self.below = below


class AsgiSide:
    """Finds the app of a scope, and calls it.

    :param life: of the mounted apps.
    :param pools: the adapters of WSGI apps.
    :param shares: what apps leave in their state, by the app's identity.
    """

    def __init__(
        self,
        plan: Plan,
        life: SharedLifespan,
        pools: Mapping[RouterOptions, WsgiToAsgi],
        shares: Mapping[Hashable, AppState],
    ) -> None:
        self._life = life
        self._pools = pools
        self._shares = shares
        http = {prefix: self._http_route(place) for prefix, place in plan.http.items()}
        sockets = {p: self._websocket_route(place) for p, place in plan.websocket.items()}
        self._find_http = PrefixTable(http).find
        self._find_websocket = PrefixTable(sockets).find

    def _http_route(self, place: Place) -> _Route:
        if place.app is None:
            return _Route(_not_found)
        if place.asgi is None:  # the WSGI face changes the environ
            return _Route(self._pools[place.pool])
        return self._native_route(place, place.asgi)

    def _websocket_route(self, place: Place) -> _Route:
        if place.app is None:
            return _Route(_not_found)
        if place.asgi is None:
            pool = self._pools[place.pool]
            return _Route(pool if pool.options.websocket_threads else _refusing(place))
        return self._native_route(place, place.asgi)

    def _native_route(self, place: Place, app: AsgiApp) -> _Route:
        share = self._shares.get(identity(app)) or AppState()
        return _Route(app, place.prefix, share, below=place.sees_below)

    def serve(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """ASGI 3, for the server: ``http``, ``websocket`` and ``lifespan``.

        :raises ServerProtocolError: the scope is of another type.
        :raises LifespanFailed: the server sends no lifespan, and a mounted app did not start.
        """
        kind = scope["type"]
        if kind == "http":
            find = self._find_http
        elif kind == "websocket":
            find = self._find_websocket
        else:
            return self._serve_other(scope, receive, send)
        if not self._life.is_ready:
            return self._serve_when_up(scope, receive, send)
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
        share = route.share
        if share is not None:
            added = share.namespace and share.added()
            if route.prefix or added or route.below or "router" in scope:
                scope = _seen_by(route, added, scope)
        return route.app(scope, receive, send)

    async def hosted(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3, for the adapter below the WSGI face: failures of a lifespan are raised."""
        if scope["type"] == "lifespan":
            await self._life.serve(scope, receive, send, on_wsgi=True)
        else:
            await self.serve(scope, receive, send)

    async def _serve_other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            raise ServerProtocolError(
                f"scope type {scope['type']!r}; a Router takes 'http', 'websocket' and 'lifespan'"
            )
        await self._life.serve(scope, receive, send)

    async def _serve_when_up(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._life.start_for_requests()
        await self.serve(scope, receive, send)


# -- the app's view --------------------------------------------------------------------------------


def _without_authority(scope: Scope) -> Scope:
    """Of a request for a whole URI, the scope with its path. hypercorn and daphne pass on all."""
    raw_path: bytes = scope.get("raw_path") or b""
    return {
        **scope,
        "path": path_of_target(scope["path"]),
        "raw_path": path_of_target(raw_path.decode("latin-1")).encode("latin-1"),
    }


def _seen_by(route: _Route, added: dict[str, Any], scope: Scope) -> Scope:
    """A copy of the scope, as the app sees it (ASGI spec: "Middleware" must not change its own)."""
    seen = {**scope}
    if added:
        seen["state"] = {**(scope.get("state") or {}), **added}
    if "router" in seen:
        for key in _ROUTERS_OWN:
            seen.pop(key, None)
    if route.prefix or route.below:
        root_path = scope.get("root_path")
        if root_path:
            _put_below(seen, root_path)
        seen["root_path"] = (seen["root_path"] if root_path else "") + route.prefix
    if route.below:
        _cut_off(seen)
    return seen


def _put_below(seen: dict[str, Any], root_path: str) -> None:
    """Make ``root_path`` normal, and ``path`` include it."""
    seen["root_path"] = root = normal_root(root_path)
    path = seen["path"]
    if below(root, path) is not None:
        return
    seen["path"] = root + path
    raw_path = seen.get("raw_path")
    if raw_path is not None:
        seen["raw_path"] = quoted(root).encode("ascii") + raw_path


def _cut_off(seen: dict[str, Any]) -> None:
    """Take ``root_path`` off ``path`` and ``raw_path``."""
    root, path = seen["root_path"], seen["path"]
    seen["path"] = path[len(root) :] or "/"
    raw_path = seen.get("raw_path")
    if raw_path is not None:
        raw_root = b"/".join(raw_path.split(b"/", root.count("/") + 1)[: root.count("/") + 1])
        if unquote_to_bytes(raw_root) == root.encode("utf-8"):
            seen["raw_path"] = raw_path[len(raw_root) :] or b"/"
        else:  # an encoded slash in the prefix itself
            seen["raw_path"] = quoted(seen["path"]).encode("ascii")


# -- where there is no app -------------------------------------------------------------------------


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """404; for a WebSocket, too, where the server can send it."""
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
        fields = [(b"content-type", b"text/plain; charset=utf-8")]
        body = NOT_FOUND.encode("ascii")
        messages = refused_websocket(scope, 404, headers=fields, body=body, reason="not found")
    else:
        messages = asgi_answer(404, NOT_FOUND, method=scope["method"])
    for message in messages:
        await send(message)


def _refusing(place: Place) -> AsgiApp:
    """What answers the WebSockets of a WSGI app."""

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        logger.warning(
            "refused the WebSocket %s: what is mounted at %r, %s, is a WSGI app and cannot speak "
            "it. Mount an ASGI app with websocket={%r: app}",
            scope["path"],
            shown(place.prefix),
            app_name(place.app),
            shown(place.prefix),
        )
        await send(close_websocket("not a WebSocket"))

    return refuse
