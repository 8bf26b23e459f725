"""Load the requested apps: a single app, or a Router that mounts all of them.

Turns :class:`~bridge.cli.options.RequestedApp` objects into :class:`ServedApps`. Each app is loaded
once per process, however often it is needed. Importing runs the user's code: on the main thread,
before any event loop.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bridge.asgi_to_wsgi.adapter import AsgiToWsgi
from bridge.cli.load.target import LoadedApp, load
from bridge.cli.options import RequestedApp, WsgiOptions
from bridge.dual import Universal
from bridge.errors import AmbiguousApp
from bridge.router.router import Router
from bridge.types import Environ, Interface, Receive, Scope, Send, StartResponse
from bridge.wsgi_to_asgi.adapter import WsgiToAsgi

__all__ = ["ServedApp", "ServedApps", "interface_of_loaded", "load_apps"]

_ARGUMENTS: dict[Interface, tuple[str, ...]] = {
    "wsgi": ("environ", "start_response"),
    "asgi": ("scope", "receive", "send"),
}


@dataclass(frozen=True)
class ServedApp:
    """One app of the command line, loaded."""

    requested: RequestedApp
    loaded: LoadedApp

    @property
    def interface(self) -> Interface | None:
        """The requested or detected interface; None for an app that supports both.

        :raises AmbiguousApp: see :func:`interface_of_loaded`.
        """
        if isinstance(self.loaded.app, Universal):
            return None
        prefix = "" if self.requested.prefix is None else f"{self.requested.mount_path}="
        return interface_of_loaded(self.loaded, self.requested.interface, prefix)

    @property
    def own_adapter(self) -> str | None:
        """The class of the adapter, if the app is in one already."""
        app = self.loaded.app
        return type(app).__name__ if isinstance(app, AsgiToWsgi | WsgiToAsgi) else None

    @cached_property
    def mountable(self) -> Any:
        """The app, as one whose interface a Router detects."""
        interface = self.interface
        if self.requested.interface is None or interface is None:
            return self.loaded.app
        return (_as_wsgi if interface == "wsgi" else _as_asgi)(self.loaded.app)


@dataclass(frozen=True)
class ServedApps:
    """All apps of the command line, and the one made of them.

    :ivar app: the user's app, or a Router made here.
    :ivar parts: the apps that it consists of.
    """

    app: Any
    parts: tuple[ServedApp, ...]

    @property
    def single(self) -> ServedApp | None:
        """The only app, if it was named without a prefix: it is served without a Router."""
        first = self.parts[0]
        return first if _is_single(tuple(part.requested for part in self.parts)) else None

    @property
    def is_universal(self) -> bool:
        """Whether :attr:`app` supports both interfaces."""
        return isinstance(self.app, Universal)

    @property
    def files(self) -> list[Path]:
        """The files that the apps were imported from."""
        return [part.loaded.file for part in self.parts if part.loaded.file is not None]

    @property
    def notes(self) -> list[str]:
        """Decisions made while loading that the user should know of."""
        return [note for part in self.parts for note in part.loaded.notes]


@functools.cache
def load_apps(
    requested: tuple[RequestedApp, ...],
    app_dir: str | None,
    wsgi: WsgiOptions,
    shutdown_timeout_s: float,
) -> ServedApps:
    """Load the apps. Cached: a server in this process must not call a factory twice.

    :param wsgi: for the WSGI apps of a Router made here.
    :param shutdown_timeout_s: for all apps of a Router made here.
    :raises AppLoadError: see :func:`bridge.cli.load.target.load`.
    :raises AmbiguousApp: see :func:`bridge.interface_of`.
    :raises ConfigError: a WSGI app is requested for WebSockets.
    """
    parts = tuple(ServedApp(each, _load_once(each.target, app_dir)) for each in requested)
    if _is_single(requested):
        return ServedApps(parts[0].loaded.app, parts)
    mounts: dict[str, Any] = {}
    websockets: dict[str, Any] = {}
    for part in parts:
        table = websockets if part.requested.websocket else mounts
        table[part.requested.mount_path] = part.mountable
    router = Router(
        mounts, websocket=websockets, shutdown_timeout_s=shutdown_timeout_s, **wsgi.keywords
    )
    return ServedApps(router, parts)


def _is_single(requested: tuple[RequestedApp, ...]) -> bool:
    return len(requested) == 1 and requested[0].prefix is None and not requested[0].websocket


def interface_of_loaded(
    loaded: LoadedApp, requested: Interface | None, prefix: str = ""
) -> Interface:
    """The requested interface, or else the detected one.

    :param prefix: what the user would write before the interface, such as ``/api=``.
    :raises AmbiguousApp: it cannot be detected and was not requested, or the app cannot be called
        as requested. The message suggests ``--interface`` only where that can help.
    """
    if requested is not None and callable(loaded.app):
        mistake = _mistake_in_call(loaded.app, requested)
        if mistake is not None:
            raise AmbiguousApp(
                f"{loaded.source}: --interface {prefix}{requested}: the app cannot be called with "
                f"({', '.join(_ARGUMENTS[requested])}): {mistake}"
            )
        return requested
    try:
        return loaded.interface
    except AmbiguousApp as error:
        hint = ""
        if callable(loaded.app) and None in (_mistake_in_call(loaded.app, i) for i in _ARGUMENTS):
            hint = f" On the command line, choose with --interface {prefix}wsgi or {prefix}asgi."
        raise AmbiguousApp(f"{loaded.source}: {error}{hint}") from None


def _mistake_in_call(app: Any, interface: Interface) -> str | None:
    """Why ``app`` cannot be called through this interface; None if it can, or may."""
    try:
        signature = inspect.signature(app, follow_wrapped=False)
    except (NameError, TypeError, ValueError):  # it has none that Python could read
        return None
    try:
        signature.bind(*_ARGUMENTS[interface])
    except TypeError as error:
        return str(error)
    return None


@functools.cache
def _load_once(target: str, app_dir: str | None) -> LoadedApp:
    return load(target, app_dir=app_dir)


def _as_wsgi(app: Any) -> Any:
    @functools.wraps(app, updated=())
    def wsgi(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        body: Iterable[bytes] = app(environ, start_response)
        return body

    return wsgi


def _as_asgi(app: Any) -> Any:
    @functools.wraps(app, updated=())
    def asgi(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        awaitable: Awaitable[None] = app(scope, receive, send)
        return awaitable

    return asgi
