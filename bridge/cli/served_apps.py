"""What is to be served: one app, or a Router with all that the command line mounts.

What enters: :class:`~bridge.cli.targets.Asked` apps. What leaves: a :class:`Site`, with each app
loaded once in this process, however often it is asked for. Runs where apps are imported: on the
main thread, before any event loop.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import bridge
from bridge.cli.load.loader import LoadedApp, load
from bridge.cli.targets import Asked
from bridge.dual import Universal
from bridge.errors import AmbiguousApp
from bridge.types import Environ, Interface, Receive, Scope, Send, StartResponse

__all__ = ["Part", "Site", "interface_of_loaded", "load_site"]

_ARGUMENTS: dict[Interface, tuple[str, ...]] = {
    "wsgi": ("environ", "start_response"),
    "asgi": ("scope", "receive", "send"),
}


@dataclass(frozen=True)
class Part:
    """One app of the command line, loaded."""

    asked: Asked
    loaded: LoadedApp

    @property
    def interface(self) -> Interface | None:
        """As the user said, or as it shows; None for what is universal.

        :raises AmbiguousApp: see :func:`interface_of_loaded`.
        """
        if isinstance(self.loaded.app, Universal):
            return None
        where = "" if self.asked.prefix is None else f"{self.asked.place}="
        return interface_of_loaded(self.loaded, self.asked.interface, where)

    @cached_property
    def mountable(self) -> Any:
        """The app, as one whose interface a Router sees."""
        interface = self.interface
        if self.asked.interface is None or interface is None:
            return self.loaded.app
        return (_as_wsgi if interface == "wsgi" else _as_asgi)(self.loaded.app)


@dataclass(frozen=True)
class Site:
    """All that is served.

    :ivar app: what the user named, or a Router made here.
    :ivar parts: what it is made of.
    """

    app: Any
    parts: tuple[Part, ...]

    @property
    def single(self) -> Part | None:
        """The only app, where it was named without a prefix: it is served without a Router."""
        first = self.parts[0]
        return first if _is_single(tuple(part.asked for part in self.parts)) else None

    @property
    def is_universal(self) -> bool:
        """Whether it adapts itself to every server."""
        return isinstance(self.app, Universal)

    @property
    def files(self) -> list[Path]:
        """Where the apps came from."""
        return [part.loaded.file for part in self.parts if part.loaded.file is not None]

    @property
    def notes(self) -> list[str]:
        """What was decided for the user, and they should see."""
        return [note for part in self.parts for note in part.loaded.notes]


@functools.cache
def load_site(
    asked: tuple[Asked, ...], app_dir: str | None, threads: int, shutdown_timeout_s: float
) -> Site:
    """Load it, or have it again: a server in this process must not call a factory twice.

    :param threads: for the WSGI apps of a Router made here.
    :param shutdown_timeout_s: for all apps of a Router made here.
    :raises AppLoadError: see :func:`bridge.cli.load.loader.load`.
    :raises AmbiguousApp: see :func:`bridge.interface_of`.
    :raises ConfigError: a WSGI app for WebSockets.
    """
    parts = tuple(Part(each, _load_once(each.target, app_dir)) for each in asked)
    if _is_single(asked):
        return Site(parts[0].loaded.app, parts)
    mounts: list[dict[str, Any]] = [{}, {}]
    for part in parts:
        mounts[part.asked.websocket][part.asked.place] = part.mountable
    router = bridge.Router(
        mounts[0], websocket=mounts[1], threads=threads, shutdown_timeout_s=shutdown_timeout_s
    )
    return Site(router, parts)


def _is_single(asked: tuple[Asked, ...]) -> bool:
    return len(asked) == 1 and asked[0].prefix is None and not asked[0].websocket


def interface_of_loaded(loaded: LoadedApp, said: Interface | None, where: str = "") -> Interface:
    """As the user said, or as the app shows.

    :param where: what the user would write before it, as ``/api=``.
    :raises AmbiguousApp: it cannot be told, and was not said: says how to, if that could help. Or
        it cannot be called as the user says.
    """
    can_say = callable(loaded.app)
    if said is not None and can_say:
        _check_takes(loaded, said, where)
        return said
    try:
        return loaded.interface
    except AmbiguousApp as error:
        hint = f" On the command line, choose with --interface {where}wsgi or {where}asgi."
        raise AmbiguousApp(f"{loaded.source}: {error}{hint if can_say else ''}") from None


def _check_takes(loaded: LoadedApp, said: Interface, where: str) -> None:
    try:
        signature = inspect.signature(loaded.app, follow_wrapped=False)
    except (NameError, TypeError, ValueError):  # nothing is known of it
        return
    try:
        signature.bind(*_ARGUMENTS[said])
    except TypeError as error:
        raise AmbiguousApp(
            f"{loaded.source}: --interface {where}{said}: it cannot be called with "
            f"({', '.join(_ARGUMENTS[said])}): {error}"
        ) from None


@functools.cache
def _load_once(target: str, app_dir: str | None) -> LoadedApp:
    return load(target, app_dir=app_dir)


def _as_wsgi(app: Any) -> Any:
    @functools.wraps(app, updated=())
    def wsgi(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        answer: Iterable[bytes] = app(environ, start_response)
        return answer

    return wsgi


def _as_asgi(app: Any) -> Any:
    @functools.wraps(app, updated=())
    def asgi(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        answer: Awaitable[None] = app(scope, receive, send)
        return answer

    return asgi
