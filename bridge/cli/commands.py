"""The commands, as typer parses them and ``--help`` shows them.

What enters: ``sys.argv``. What leaves: an exit code, by way of `typer.Exit`; what the user should
read goes to stderr, as one line that starts with ``bridge:``, below the traceback of the app's own
error where there is one.
"""

from __future__ import annotations

import platform
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import bridge
from bridge.cli import routes
from bridge.cli.bench import command as bench
from bridge.cli.exit_errors import telling_errors
from bridge.cli.migrate import app as migrate_app
from bridge.cli.options import (
    DEFAULT_GRACE_S,
    DEFAULT_THREADS,
    LogLevel,
    RunOptions,
    normal_root_path,
)
from bridge.cli.run import run
from bridge.cli.servers.registry import SERVERS
from bridge.cli.targets import AppDir, Interfaces, Targets, Websockets, parse

__all__ = ["app"]

ServerName = StrEnum("ServerName", {name: name for name in SERVERS})  # type: ignore[misc]  # data


app = typer.Typer(
    name="bridge",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(migrate_app, name="migrate")
app.command("routes", epilog=routes.EPILOG)(routes.routes_command)
app.command("bench", help=bench.HELP, epilog=bench.EPILOG)(bench.bench_command)

_WHERE, _HOW = "Where it listens", "How it runs"

HELP = (
    "Serve an app, WSGI or ASGI, or several together, on any server.\n\n"
    "Finds out what the app is, wraps it where the server needs the other interface, and starts "
    "the server. Ctrl-C and SIGTERM let open requests finish."
)
EPILOG = (
    "[bold]Examples[/]\n\n"
    "bridge run main:app\n\n"
    "bridge run main.py --reload\n\n"
    "bridge run \"site:create_app('production')\" --workers 4\n\n"
    "bridge run path/to/django/project --server granian --threads 20\n\n"
    "bridge run mysite.asgi:application --server gunicorn --uds /run/mysite.sock\n\n"
    "bridge run /=flask_app:app /api=api:app --websocket /ws=chat:app\n\n"
    "[dim]Exit code: 0 after Ctrl-C or SIGTERM, 1 if the app or the server failed, 2 if the "
    "command line cannot be carried out.[/]"
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"bridge {bridge.__version__} (Python {platform.python_version()})")
        raise typer.Exit


@app.callback(epilog="[bold]Start with[/]  bridge run --help")
def main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Say it and exit."),
    ] = False,
) -> None:
    """WSGI apps under ASGI servers, and ASGI apps under WSGI servers."""


@app.command("run", help=HELP, epilog=EPILOG)
def run_command(
    targets: Targets = None,
    server: Annotated[
        ServerName | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=_HOW,
            help=f"{', '.join(SERVERS)}. Default: the first of these that is installed.",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, metavar="N", rich_help_panel=_HOW, help="Processes.")
    ] = 1,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            rich_help_panel=_HOW,
            help="Threads in each process, for WSGI apps and for WSGI servers. "
            f"Default: {DEFAULT_THREADS}.",
        ),
    ] = None,
    reload: Annotated[
        bool, typer.Option("--reload", rich_help_panel=_HOW, help="Start over on changed files.")
    ] = False,
    grace_s: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            rich_help_panel=_HOW,
            help="Seconds to let open requests finish in, at the end.",
        ),
    ] = DEFAULT_GRACE_S,
    log_level: Annotated[
        LogLevel,
        typer.Option(
            metavar="NAME",
            rich_help_panel=_HOW,
            help=f"{', '.join(LogLevel)}. From warning on, requests are not logged.",
        ),
    ] = LogLevel.INFO,
    host: Annotated[
        str,
        typer.Option(metavar="ADDRESS", rich_help_panel=_WHERE, help="0.0.0.0 is all there are."),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, metavar="N", rich_help_panel=_WHERE, help="0 is any that is free."
        ),
    ] = 8000,
    uds: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", rich_help_panel=_WHERE, help="A unix socket, instead of the two above."
        ),
    ] = None,
    root_path: Annotated[
        str,
        typer.Option(
            metavar="PATH",
            show_default=False,
            rich_help_panel=_WHERE,
            help="Where a proxy mounts the app, as /shop. It may strip that from requests or not.",
        ),
    ] = "",
    websocket: Websockets = None,
    interface: Interfaces = None,
    app_dir: AppDir = None,
) -> None:
    """Carry out ``bridge run``; :data:`HELP` is what the user sees."""
    with telling_errors():
        options = RunOptions(
            asked=parse(targets or (), websocket or (), interface or ()),
            host=host,
            port=port,
            uds=uds,
            workers=workers,
            threads=threads,
            reload=reload,
            root_path=normal_root_path(root_path),
            log_level=log_level,
            grace_s=grace_s,
            app_dir=app_dir,
        )
        raise typer.Exit(run(options, None if server is None else server.value))
