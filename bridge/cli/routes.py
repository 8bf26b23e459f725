"""``bridge routes``: what is mounted where, by interface and adapter.

What enters: a :class:`~bridge.cli.served_apps.Site`. What leaves: a table on stdout: boxed on a
terminal, columns of plain text elsewhere. Starts nothing.
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
from bridge.cli.exit_errors import telling_errors
from bridge.cli.options import DEFAULT_GRACE_S, DEFAULT_THREADS
from bridge.cli.served_apps import Site, load_site
from bridge.cli.targets import AppDir, Interfaces, Targets, Websockets, parse
from bridge.router.mounts import Alone, Mount, Place, Plan, identity
from bridge.router.router import Router
from bridge.wsgi_to_asgi.adapter import WsgiToAsgi

__all__ = ["EPILOG", "Row", "routes_command", "rows_of", "show"]

EPILOG = (
    "[bold]Examples[/]\n\n"
    "bridge routes main:app\n\n"
    "bridge routes /=flask_app:app /api=api:app --websocket /ws=chat:app"
)
_HERE = str(Path(__file__).parents[1])
HEAD = ("prefix", "protocol", "app", "interface", "on ASGI servers", "on WSGI servers")
INDENT = "  "


def routes_command(
    targets: Targets = None,
    websocket: Websockets = None,
    interface: Interfaces = None,
    app_dir: AppDir = None,
) -> None:
    """Show what is mounted where, by interface and adapter.

    Takes apps as `bridge run` does, and serves nothing. A Router is shown with all that it mounts.
    """
    with telling_errors():
        asked = parse(targets or (), websocket or (), interface or ())
        folder = None if app_dir is None else str(app_dir)
        show(rows_of(load_site(asked, folder, DEFAULT_THREADS, DEFAULT_GRACE_S)))


@dataclass(frozen=True)
class Row:
    """One line. A Router's own has no adapters: its mounts follow, indented by ``depth``."""

    depth: int
    prefix: str
    protocol: str
    app: str
    interface: str
    on_asgi: str = ""
    on_wsgi: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """The columns, in the order of the head."""
        prefix = INDENT * self.depth + self.prefix
        return prefix, self.protocol, self.app, self.interface, self.on_asgi, self.on_wsgi


def rows_of(site: Site) -> list[Row]:
    """What a site consists of, in the order in which it was mounted.

    :raises AmbiguousApp: an app's interface cannot be told.
    """
    names = {identity(part.mountable): part.loaded.source for part in site.parts}
    names |= {identity(part.loaded.app): part.loaded.source for part in site.parts}
    router = site.app if isinstance(site.app, Router) else Router({"/": _only(site)})
    return list(_rows(router.plan, "", 0, names))


def _only(site: Site) -> Any:
    return site.parts[0].mountable


def _rows(plan: Plan, above: str, depth: int, names: Mapping[Hashable, str]) -> Iterator[Row]:
    for prefix, mount in plan.mounts:
        full = above + prefix
        for protocol, app in _protocols(plan, prefix, mount):
            name = names.get(identity(app)) or _found_name(app) or app_name(app)
            if isinstance(app, Router):
                yield Row(depth, shown(full), "", name, "Router")
                yield from _rows(app.plan, full, depth + 1, names)
            else:
                place = _place(plan, prefix, protocol)
                yield Row(depth, shown(full), protocol, name, *_adapters(place, protocol))


def _found_name(app: object) -> str | None:
    """``module:attr`` of an app that is an attribute of one of the user's modules."""
    names = [
        f"{module.__name__}:{name}"
        for module in list(sys.modules.values())
        if _is_users(module)
        for name, value in vars(module).items()
        if value is app and not name.startswith("__")
    ]
    return names[0] if names else None  # its maker was complete before those who import it


def _is_users(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None) or ""
    return bool(file) and not file.startswith((sys.prefix, sys.base_prefix, _HERE))


def _protocols(plan: Plan, prefix: str, mount: Mount) -> Iterator[tuple[str, Any]]:
    if isinstance(mount, Alone):
        socket = plan.websocket.get(prefix)
        both = socket is not None and not socket.by_name and _takes_sockets(socket)
        yield ("HTTP, WebSocket" if both else "HTTP"), mount.http
        return
    if mount.http is not None:
        yield "HTTP", mount.http
    if mount.websocket is not None:
        yield "WebSocket", mount.websocket


def _takes_sockets(place: Place) -> bool:
    return place.asgi is not None or place.options.to_asgi.websocket_threads > 0


def _place(plan: Plan, prefix: str, protocol: str) -> Place:
    table = plan.sockets if protocol == "WebSocket" else plan.http
    return table[prefix]


def _adapters(place: Place, protocol: str) -> tuple[str, str, str]:
    """The interface, and the adapter on either kind of server."""
    if place.asgi is None:
        return "WSGI", "WsgiToAsgi", "none"
    if isinstance(place.asgi, WsgiToAsgi):
        return "WSGI", "WsgiToAsgi (its own)", "none"
    if place.wsgi is not None and protocol != "WebSocket":
        return "ASGI and WSGI", "none", "none"
    if protocol == "WebSocket":
        return "ASGI", "none", "cannot: 426"
    return "ASGI", "none", "AsgiToWsgi"


def show(rows: list[Row], *, console: Console | None = None) -> None:
    """Print the table.

    :param console: where to; stdout if not given.
    """
    console = console or Console(highlight=False, soft_wrap=True)
    if console.is_terminal and not console.is_dumb_terminal:
        console.print(_boxed(rows))
        return
    table = [HEAD, *(row.cells for row in rows)]
    widths = [max(len(cells[column]) for cells in table) for column in range(len(HEAD))]
    for cells in table:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        console.print("  ".join(padded).rstrip(), markup=False)


def _boxed(rows: list[Row]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for name in HEAD:
        table.add_column(name, no_wrap=name == "prefix")
    for row in rows:
        table.add_row(*row.cells, style="bold" if row.interface == "Router" else "")
    return table
