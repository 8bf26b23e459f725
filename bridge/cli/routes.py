"""``bridge routes``: which app is mounted where, with its interface and adapters.

Turns :class:`~bridge.cli.served_apps.ServedApps` into a table on stdout: boxed on a terminal,
columns of plain text elsewhere. Starts no server.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bridge._http.paths import shown
from bridge._lifespan.runner import app_name
from bridge.cli.plain_text import plain_text
from bridge.cli.served_apps import ServedApps
from bridge.dual import Universal
from bridge.router.mount import ImplicitMount, Mount
from bridge.router.mounts import Place, Plan, identity
from bridge.router.router import Router
from bridge.wsgi_to_asgi.adapter import WsgiToAsgi

__all__ = ["Row", "rows_of", "show"]

_PACKAGE = str(Path(__file__).parents[1])
HEAD = ("prefix", "protocol", "app", "interface", "on ASGI servers", "on WSGI servers")
INDENT = "  "


@dataclass(frozen=True)
class Row:
    """One line of the table. A Router has no adapters: its mounts follow, indented by ``depth``."""

    depth: int
    prefix: str
    protocol: str
    app: str
    interface: str
    on_asgi: str = ""
    on_wsgi: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """The columns, in the order of :data:`HEAD`."""
        prefix = INDENT * self.depth + self.prefix
        return prefix, self.protocol, self.app, self.interface, self.on_asgi, self.on_wsgi


def rows_of(served: ServedApps) -> list[Row]:
    """The mounted apps, in the order in which they were mounted.

    :raises AmbiguousApp: an app's interface cannot be detected.
    """
    names = {identity(part.mountable): part.loaded.source for part in served.parts}
    names |= {identity(part.loaded.app): part.loaded.source for part in served.parts}
    router = served.app
    if not isinstance(router, Router):
        router = Router({"/": served.parts[0].mountable})
    return list(_rows(router, "", 0, names))


def _rows(router: Router, above: str, depth: int, names: Mapping[Hashable, str]) -> Iterator[Row]:
    plan = router.plan
    for prefix, mount in plan.mounts:
        full = above + prefix
        for protocol, app in _protocols(plan, prefix, mount):
            name = _name(app, names)
            if name is None and _is_part_of_router(app):
                name = _name(router, names)
            if isinstance(app, Router):
                yield Row(depth, shown(full), "", name or "bridge.Router", "Router")
                yield from _rows(app, full, depth + 1, names)
            else:
                place = _place(plan, prefix, protocol)
                adapters = _adapters(place, protocol)
                yield Row(depth, shown(full), protocol, name or app_name(app), *adapters)


def _name(app: object, names: Mapping[Hashable, str]) -> str | None:
    return names.get(identity(app)) or _attribute_name(app)


def _is_part_of_router(app: object) -> bool:
    """Whether the Router itself has made ``app``, as a `DjangoApplication` has its handlers."""
    return isinstance(app, Universal) and not isinstance(app, Router)


def _attribute_name(app: object) -> str | None:
    """``module:attr`` of an app that is an attribute of one of the user's modules."""
    names = [
        f"{module.__name__}:{name}"
        for module in list(sys.modules.values())
        if _is_user_module(module)
        for name, value in vars(module).items()
        if value is app and not name.startswith("__")
    ]
    return names[0] if names else None  # the module that defines it was imported first


def _is_user_module(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None) or ""
    return bool(file) and not file.startswith((sys.prefix, sys.base_prefix, _PACKAGE))


def _protocols(plan: Plan, prefix: str, mount: Mount) -> Iterator[tuple[str, Any]]:
    if isinstance(mount, ImplicitMount):
        place = plan.websocket.get(prefix)
        both = place is not None and not place.by_name and _accepts_websockets(place)
        yield ("HTTP, WebSocket" if both else "HTTP"), mount.http
        return
    if mount.http is not None:
        yield "HTTP", mount.http
    if mount.websocket is not None:
        yield "WebSocket", mount.websocket


def _accepts_websockets(place: Place) -> bool:
    if isinstance(place.asgi, WsgiToAsgi):
        return place.asgi.options.websocket_threads > 0
    return place.asgi is not None or place.options.to_asgi.websocket_threads > 0


def _place(plan: Plan, prefix: str, protocol: str) -> Place:
    table = plan.asgi_websocket if protocol == "WebSocket" else plan.http
    return table[prefix]


def _adapters(place: Place, protocol: str) -> tuple[str, str, str]:
    """The interface, and the adapters on ASGI and on WSGI servers."""
    if place.asgi is None:
        return "WSGI", "WsgiToAsgi" if place.bulkhead is None else "WsgiToAsgi (its own)", "none"
    if isinstance(place.asgi, WsgiToAsgi):
        return "WSGI", "WsgiToAsgi (its own)", "none"
    if place.wsgi is not None and protocol != "WebSocket":
        return "ASGI and WSGI", "none", "none"
    return "ASGI", "none", "AsgiToWsgi"


def show(rows: list[Row], *, console: Console | None = None) -> None:
    """Print the table.

    :param console: stdout if not given.
    """
    console = console or Console(highlight=False, soft_wrap=True)
    if console.is_terminal and not console.is_dumb_terminal:
        console.print(_boxed(rows))
        return
    table = [HEAD, *(row.cells for row in rows)]
    widths = [max(len(cells[column]) for cells in table) for column in range(len(HEAD))]
    for cells in table:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        console.print(plain_text("  ".join(padded).rstrip()))


def _boxed(rows: list[Row]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for name in HEAD:
        table.add_column(name, no_wrap=name == "prefix")
    for row in rows:
        cells = map(plain_text, row.cells)
        table.add_row(*cells, style="bold" if row.interface == "Router" else "")
    return table
