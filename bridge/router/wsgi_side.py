"""The WSGI side of a Router: passes each environ to its app, as the app has to see it.

Input: environs, on the server thread. Output: the response of the mounted WSGI app, which is called
on the same thread, or of the adapter for ASGI apps, with the app that is chosen here.

PEP 3333 ("environ Variables"): ``SCRIPT_NAME`` is where the app is mounted, ``PATH_INFO`` the rest.
Both are latin-1 decoded bytes, so the prefixes here are, too. ``RAW_URI`` stays what the client has
sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Protocol

from bridge._http.answers import not_found, wsgi_answer
from bridge._http.environ_to_scope import is_websocket
from bridge._http.paths import NO_PATH, below, is_path, native, normal_root
from bridge._http.prefixes import PrefixTable
from bridge._observe.settings import Settings
from bridge._observe.wsgi import ObservedWsgi
from bridge.router.mounts import Place, Plan
from bridge.router.own_context import call_in_own_context
from bridge.router.server_threads import Bounds, limited
from bridge.types import AsgiApp, Environ, StartResponse, WsgiApp

__all__ = ["WsgiSide", "mounted_wsgi"]


class CallAsgi(Protocol):
    """Calls an ASGI app: :class:`~bridge.AsgiToWsgi`."""

    def __call__(
        self, environ: Environ, start_response: StartResponse, *, app: AsgiApp
    ) -> Iterable[bytes]: ...


class WsgiSide:
    """Finds the app of an environ, and calls it.

    :param adapter: for ASGI apps.
    :param http_apps: the ASGI side's, by prefix. They get the environ unchanged.
    :param websocket_apps: for WebSockets, by prefix. A WSGI app gets them as ordinary requests.
    :param limits: of the threads that a WSGI app occupies, by its place and the prefix of the path.
    """

    def __init__(
        self,
        plan: Plan,
        adapter: CallAsgi,
        http_apps: Mapping[str, AsgiApp],
        websocket_apps: Mapping[str, WsgiApp],
        limits: Mapping[Place, Mapping[str, Bounds]],
    ) -> None:
        self._adapter = adapter
        self._limits = limits
        self._plan = plan
        self._http_apps = http_apps
        self._observed: Callable[[WsgiApp], WsgiApp] = _unchanged
        self._fill_table()
        self._find_websocket = PrefixTable(
            {
                # False stands for a WSGI app, which hides the app at a shorter prefix.
                native(prefix): place.is_called_on_loop and websocket_apps[prefix]
                for prefix, place in plan.websocket.items()
            }
        ).find

    def observe(self, settings: Settings) -> None:
        """Let a middleware see the requests that go through no adapter, from now on."""
        self._observed = partial(ObservedWsgi, settings=settings)
        self._fill_table()

    def _fill_table(self) -> None:
        http = self._plan.http.items()
        self._find = PrefixTable(
            {native(prefix): self._app(place, self._http_apps[prefix]) for prefix, place in http}
        ).find
        self._not_found = self._observed(not_found)
        self._bad_request = self._observed(_bad_request)

    def _app(self, place: Place, asgi: AsgiApp) -> WsgiApp:
        if place.app is None:
            return self._observed(not_found)
        if place.wsgi is None:
            return partial(self._adapter, app=asgi)
        app = partial(call_in_own_context, mounted_wsgi(place.prefix, place.wsgi))
        return self._observed(limited(app, self._limits.get(place, {})))

    def serve(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """PEP 3333, for the server."""
        path: str = environ.get("PATH_INFO", "")
        if path[:1] != "/" and path and not is_path(path):
            return self._bad_request(environ, start_response)
        if "HTTP_UPGRADE" in environ and is_websocket(environ):
            websocket_app = self._find_websocket(path)
            if websocket_app:
                return websocket_app(environ, start_response)
        app = self._find(path)
        if app is None:
            return self._not_found(environ, start_response)
        return app(environ, start_response)


def _unchanged(app: WsgiApp) -> WsgiApp:
    return app


def _bad_request(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return wsgi_answer(start_response, 400, NO_PATH, method=environ["REQUEST_METHOD"])


def mounted_wsgi(prefix: str, app: WsgiApp) -> WsgiApp:
    """``app``, for environs that have been chosen for ``prefix``."""
    return partial(_call_below, native(prefix), app) if prefix else app


def _call_below(
    prefix: str, app: WsgiApp, environ: Environ, start_response: StartResponse
) -> Iterable[bytes]:
    rest = below(prefix, environ.get("PATH_INFO", ""))
    if rest is None:  # trusted_environ has replaced the path
        return not_found(environ, start_response)
    environ["SCRIPT_NAME"] = normal_root(environ.get("SCRIPT_NAME", "")) + prefix
    environ["PATH_INFO"] = rest
    return app(environ, start_response)
