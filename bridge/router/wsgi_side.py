"""A Router's WSGI face: the environ is changed to the app's view of it, and passed on.

What enters: environs, on a WSGI server's threads, or on worker threads for the ASGI face. What
leaves: the answer of the mounted WSGI app, called right there, or of the adapter to the ASGI face.

PEP 3333 ("environ Variables"): ``SCRIPT_NAME`` is where the app is mounted, ``PATH_INFO`` the rest.
Both hold latin-1 decoded bytes, so here the prefixes do, too. ``RAW_URI`` stays what the client
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
    """:ivar prefix: as native string; empty also where the app wants the environ as it is."""

    prefix: str
    app: WsgiApp


class WsgiSide:
    """Finds the app of an environ, and calls it.

    :param crossing: a WSGI app that leads to the ASGI face. It gets the environ unchanged.
    """

    def __init__(self, plan: Plan, crossing: WsgiApp) -> None:
        self._crossing = crossing
        self._http = PrefixTable(
            {native(place.prefix): self._route(place) for place in plan.http.values()}
        )
        self._sockets = PrefixTable(
            {native(place.prefix): place for place in plan.websocket.values()}
        )

    def _route(self, place: Place) -> _Route:
        if place.app is None:
            return _Route("", not_found)
        if place.wsgi is None:
            return _Route("", self._crossing)
        return _Route(native(place.prefix), place.wsgi)

    def serve(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """PEP 3333, for the server."""
        if "HTTP_UPGRADE" in environ and is_websocket(environ):
            place = self._sockets.find(environ.get("PATH_INFO", ""))
            if place is not None and place.asgi is not None:
                return self._crossing(environ, start_response)  # it answers 426
        return self.call_wsgi(environ, start_response)

    def call_wsgi(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """For the ASGI face, which knows already that it is a WSGI app's turn."""
        path: str = environ.get("PATH_INFO", "")
        route = self._http.find(path)
        if route is None:
            return not_found(environ, start_response)
        prefix = route.prefix
        if prefix:
            environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "").rstrip("/") + prefix
            environ["PATH_INFO"] = path[len(prefix) :]
        return route.app(environ, start_response)


def not_found(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """The answer where nothing is mounted."""
    return wsgi_answer(start_response, 404, NOT_FOUND, method=environ["REQUEST_METHOD"])
