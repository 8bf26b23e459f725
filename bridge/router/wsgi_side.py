"""The WSGI side of a Router: passes each environ to its app, as the app has to see it.

Input: environs, on the server thread, or on a worker thread of the adapter that the ASGI side uses.
Output: the response of the mounted WSGI app, which is called on the same thread, or of the adapter
around the ASGI side.

PEP 3333 ("environ Variables"): ``SCRIPT_NAME`` is where the app is mounted, ``PATH_INFO`` the rest.
Both are latin-1 decoded bytes, so the prefixes here are, too. ``RAW_URI`` stays what the client has
sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bridge._http.answers import NOT_FOUND, wsgi_answer
from bridge._http.environ_to_scope import is_websocket
from bridge._http.paths import native
from bridge.router.mounts import Place, Plan
from bridge.router.prefixes import PrefixTable
from bridge.types import Environ, StartResponse, WsgiApp

__all__ = ["WsgiSide"]


@dataclass(frozen=True, slots=True, eq=False)
class _Route:
    """:ivar prefix: as native string; empty also if the app gets the environ unchanged."""

    prefix: str
    app: WsgiApp


class WsgiSide:
    """Finds the app of an environ, and calls it.

    :param adapter: a WSGI app around the ASGI side. It gets the environ unchanged.
    """

    def __init__(self, plan: Plan, adapter: WsgiApp) -> None:
        self._adapter = adapter
        self._http = PrefixTable(
            {native(place.prefix): self._route(place) for place in plan.http.values()}
        )
        self._sockets = PrefixTable(
            {native(place.prefix): place for place in plan.websocket.values()}
        )

    def _route(self, place: Place) -> _Route:
        if place.app is None:
            return _Route("", _not_found)
        if place.wsgi is None:
            return _Route("", self._adapter)
        return _Route(native(place.prefix), place.wsgi)

    def serve(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """PEP 3333, for the server."""
        if "HTTP_UPGRADE" in environ and is_websocket(environ):
            place = self._sockets.find(environ.get("PATH_INFO", ""))
            if place is not None and place.asgi is not None and not place.is_asgi_only:
                return self._adapter(environ, start_response)  # it answers 426
        return self.call_wsgi(environ, start_response)

    def call_wsgi(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """PEP 3333, for the adapter that the ASGI side uses: the path is that of a WSGI app."""
        path: str = environ.get("PATH_INFO", "")
        route = self._http.find(path)
        if route is None:
            return _not_found(environ, start_response)
        prefix = route.prefix
        if prefix:
            environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "").rstrip("/") + prefix
            environ["PATH_INFO"] = path[len(prefix) :]
        return route.app(environ, start_response)


def _not_found(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return wsgi_answer(start_response, 404, NOT_FOUND, method=environ["REQUEST_METHOD"])
