"""The summary that ``bridge run`` shows before the server starts: app, adapter, server, URL.

Written to stderr, as the servers' logs are: a box on a terminal, plain lines elsewhere.
``NO_COLOR`` removes the colours; a pipe, a file or a dumb terminal also the box.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from bridge.cli.address import url_of
from bridge.cli.options import RunOptions
from bridge.cli.plain_text import plain_text
from bridge.cli.served_apps import ServedApp, ServedApps
from bridge.cli.servers.spec import ServerSpec, is_importable
from bridge.wsgi_to_asgi.adapter import WsgiToAsgi

__all__ = ["facts_of", "notes_of", "show"]


def facts_of(
    spec: ServerSpec,
    options: RunOptions,
    served: ServedApps,
    limits: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """What is about to be served and how, by name, in the order to show it.

    :param limits: those of :mod:`bridge.cli.limits`.
    """
    return {
        **_app_facts(spec, served),
        "server": f"{spec.name} {spec.version}",
        "processes": _processes(options),
        "threads": _threads(spec, options, served),
        **(limits or {}),
        "URL": url_of(options.host, options.port, options.uds, options.root_path),
    }


def notes_of(spec: ServerSpec, served: ServedApps) -> list[str]:
    """What the user should know besides the facts."""
    notes = served.notes
    single = served.single
    if single is not None and single.own_adapter and single.interface not in (None, spec.interface):
        notes.append(
            f"each request crosses twice: {spec.name} needs {spec.interface.upper()}, and "
            f"{single.requested.target} is inside an adapter already. Serve the app in it instead"
        )
    if spec.interface == "wsgi" and any(part.interface != "wsgi" for part in served.parts):
        if not spec.has_raw_socket:
            notes.append(f"no WebSockets: {spec.name} gives apps no access to the connection")
        elif not is_importable("websockets"):
            notes.append("no WebSockets: install wsgi-asgi-bridge[websocket]")
    return notes


def _app_facts(spec: ServerSpec, served: ServedApps) -> dict[str, str]:
    part = served.single
    if part is not None:
        return {
            "app": _source(part),
            "interface": _interface(part),
            "adapter": _adapter(spec, part),
        }
    return {
        part.requested.mount_path + (" (WebSocket)" if part.requested.websocket else ""): (
            f"{_source(part)}  {_interface(part)}"
        )
        for part in served.parts
    } | {"adapter": "bridge.Router"}


def _source(part: ServedApp) -> str:
    loaded = part.loaded
    return loaded.source if loaded.file is None else f"{loaded.source}  {_relative(loaded.file)}"


def _relative(file: Path) -> str:
    return str(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)


def _interface(part: ServedApp) -> str:
    if part.interface is None:
        return "ASGI and WSGI"
    return part.interface.upper() + (" (from --interface)" if part.requested.interface else "")


def _adapter(spec: ServerSpec, part: ServedApp) -> str:
    interface, own = part.interface, part.own_adapter
    if interface is None:
        return "none: the app supports both interfaces"
    if interface != spec.interface:
        added = "bridge.WsgiToAsgi" if spec.interface == "asgi" else "bridge.AsgiToWsgi"
        return added if own is None else f"{added}, around the app's own bridge.{own}"
    if own is not None:
        return f"bridge.{own}, made by the app"
    if spec.ignores_lifespan:
        return f"bridge.universal: {spec.name} does not run the lifespan"
    return f"none: {spec.name} supports {interface.upper()}"


def _processes(options: RunOptions) -> str:
    return f"{options.workers}" + (", reloading on changes" if options.reload else "")


def _threads(spec: ServerSpec, options: RunOptions, served: ServedApps) -> str:
    count = f"{options.thread_count}" + (" per process" if options.workers > 1 else "")
    single = served.single
    if spec.interface == "wsgi" or (single is not None and single.interface == "wsgi"):
        return count
    if single is not None and isinstance(single.loaded.app, WsgiToAsgi):
        own = single.loaded.app.options
        return "those of the app's executor" if own.executor else f"{own.threads}, set by the app"
    if single is None and any(part.interface == "wsgi" for part in served.parts):
        return f"{count}, for the WSGI apps"
    if single is not None and served.is_universal:
        return "set by the app"
    return "none: the app runs on the event loop"


def show(facts: Mapping[str, str], notes: Iterable[str], *, console: Console | None = None) -> None:
    """Show the facts and, below them, the notes.

    :param console: stderr if not given.
    """
    console = console or Console(stderr=True, highlight=False, soft_wrap=True)
    if console.is_terminal and not console.is_dumb_terminal:
        console.print(_box(facts, notes))
        return
    for name, value in [*facts.items(), *(("note", note) for note in notes)]:
        console.print(plain_text(f"bridge: {name}: {value}"))


def _box(facts: Mapping[str, str], notes: Iterable[str]) -> Panel:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        style = "bold cyan" if name == "URL" else ""
        table.add_row(plain_text(name), plain_text(value, style=style))
    for note in notes:
        table.add_row("note", plain_text(note, style="italic"))
    return Panel(table, title="bridge run", title_align="left", expand=False, padding=(0, 1))
