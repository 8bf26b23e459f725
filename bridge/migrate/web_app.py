"""The app that a server serves: its module, and its ASGI counterpart.

Input: a project and the name of an app, as ``mysite.wsgi:application``. Output: the module that
contains it, and the ASGI app to serve instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from bridge.migrate.entry_points import served_name
from bridge.migrate.findings import Edit, Target
from bridge.migrate.requirements import add_requirement
from bridge.migrate.text import CannotRead

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

__all__ = [
    "AsgiApp",
    "asgi_app_for",
    "bridge_requirement",
    "through_bridge",
    "uses_websockets",
    "with_threads",
]

_DJANGO = "django.core.asgi"
_BRIDGE = "bridge.contrib.django"
_RELATED_PACKAGES = ("gunicorn", "uwsgi", "uvicorn", "daphne", "hypercorn", "granian", "django")


@dataclass(frozen=True)
class AsgiApp:
    """An existing ASGI app.

    :ivar name: as ``mysite.asgi:application``.
    :ivar edits: the changes that the project's target needs in it.
    :ivar is_djangos_own: whether those include the move from Django's handler to `bridge`'s.
    :ivar is_missing: whether it is still to be made, by the fix of E101.
    """

    name: str
    edits: tuple[Edit, ...]
    is_djangos_own: bool = False
    is_missing: bool = False


def asgi_app_for(project: Project, app: str, threads: int | None = None) -> AsgiApp | None:
    """The ASGI app to serve in place of Django's WSGI app; None if its name is not known.

    :param threads: the current number per process; kept through `bridge`.
    """
    name = app.partition(":")[0]
    package, _, last = name.rpartition(".")
    other = f"{package}.asgi" if package else "asgi"
    if "wsgi" not in last and last != "asgi":
        return None
    module = project.module(other)
    if module is None:
        return AsgiApp(f"{other}:application", (), is_missing=True)
    try:
        attribute = served_name(module)
    except CannotRead:
        return None
    if attribute is None:
        return None
    name = f"{other}:{attribute}"
    if project.target is not Target.BRIDGE:
        return AsgiApp(name, ())
    moved = through_bridge(module)
    edits = (*moved, *bridge_requirement(project), *with_threads(module, threads))
    return AsgiApp(name, edits, is_djangos_own=bool(moved))


def through_bridge(module: Module) -> tuple[Edit, ...]:
    """Import ``get_asgi_application`` from `bridge` instead of ``django.core.asgi``.

    :returns: no edit if there is no such import.
    """
    for node in module.nodes(cst.ImportFrom):
        is_plain = isinstance(node.names, tuple | list) and len(node.names) == 1
        if node.module is not None and is_plain and module.source(node.module) == _DJANGO:
            return (module.replace(node.module, _BRIDGE),)
    return ()


def bridge_requirement(project: Project) -> tuple[Edit, ...]:
    """Add `bridge` to the requirements that list the server, else to those that list Django."""
    edits = (
        add_requirement(project, "wsgi-asgi-bridge", beside=name) for name in _RELATED_PACKAGES
    )
    return next(filter(None, edits), ())


def with_threads(module: Module, threads: int | None) -> Iterator[Edit]:
    """``get_asgi_application(threads=4)``, if it is called without arguments."""
    names = (f"{_DJANGO}.get_asgi_application", f"{_BRIDGE}.get_asgi_application")
    calls = [call for call in module.nodes(cst.Call) if module.qualified(call) in names]
    if threads is not None and len(calls) == 1 and not calls[0].args:
        yield module.replace(calls[0], f"{module.source(calls[0].func)}(threads={threads})")


def uses_websockets(project: Project) -> bool:
    """Whether the project appears to use WebSockets."""
    signs = ("WebsocketConsumer", "websocket_urlpatterns", "flask_sock", "flask_socketio")
    return any(True for _ in project.containing(*signs, "WebSocket", "socketio"))
