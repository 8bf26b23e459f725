"""The commands of ``bridge``, as typer parses them and ``--help`` shows them.

The modules that carry out a command are imported when it runs, so that ``bridge --help`` is fast.
Each command ends in `typer.Exit`; see `bridge.cli.exit_errors`.
"""

from __future__ import annotations

import platform
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bridge._version import __version__
from bridge.cli.bench import command as bench
from bridge.cli.exit_errors import exit_on_error
from bridge.cli.migrate import app as migrate_app
from bridge.cli.options import DEFAULT_GRACE_S, DEFAULT_THREADS, LogLevel, RunOptions
from bridge.cli.root_path import normal_root_path
from bridge.cli.servers.registry import SERVERS
from bridge.cli.targets import AppDir, Interfaces, Targets, Websockets, parse_targets

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


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"bridge {__version__} (Python {platform.python_version()})")
        raise typer.Exit


@app.callback(epilog="[bold]Start with[/]  bridge run --help")
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Show the version and exit.",
        ),
    ] = False,
) -> None:
    """Run WSGI apps on ASGI servers, and ASGI apps on WSGI servers."""


# -- bridge run ------------------------------------------------------------------------------------

_ADDRESS, _SERVER = "Address", "Server"

HELP = (
    "Serve one or more apps, WSGI or ASGI, on any server.\n\n"
    "Detects the interface of each app, adapts the app if the server needs the other one, and "
    "starts the server. On Ctrl-C or SIGTERM, open requests are finished first."
)
EPILOG = (
    "[bold]Examples[/]\n\n"
    "bridge run main:app\n\n"
    "bridge run main.py --reload\n\n"
    "bridge run \"site:create_app('production')\" --workers 4\n\n"
    "bridge run path/to/django/project --server granian --threads 20\n\n"
    "bridge run mysite.asgi:application --server gunicorn --uds /run/mysite.sock\n\n"
    "bridge run /=flask_app:app /api=api:app --websocket /ws=chat:app\n\n"
    "[dim]Exit code: 0 after Ctrl-C or SIGTERM, 1 if the app or the server failed, 2 for a usage "
    "error.[/]"
)


@app.command("run", help=HELP, epilog=EPILOG)
def run_command(
    targets: Targets = None,
    server: Annotated[
        ServerName | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=_SERVER,
            help=f"The server: {', '.join(SERVERS)}. Default: the first of these that is "
            "installed.",
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", rich_help_panel=_SERVER, help="The number of server processes."
        ),
    ] = 1,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            rich_help_panel=_SERVER,
            help="The number of threads per process, for WSGI apps and for WSGI servers. "
            f"Default: {DEFAULT_THREADS}.",
        ),
    ] = None,
    reload: Annotated[
        bool,
        typer.Option(
            "--reload",
            rich_help_panel=_SERVER,
            help="Restart when a source file changes. For development, with one worker.",
        ),
    ] = False,
    grace_s: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            rich_help_panel=_SERVER,
            help="Grace period for open requests at shutdown, in seconds.",
        ),
    ] = DEFAULT_GRACE_S,
    log_level: Annotated[
        LogLevel,
        typer.Option(
            metavar="NAME",
            rich_help_panel=_SERVER,
            help=f"The log level: {', '.join(LogLevel)}. Requests are logged at info and debug.",
        ),
    ] = LogLevel.INFO,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            rich_help_panel=_ADDRESS,
            help="The address to listen on. Use 0.0.0.0 to listen on all interfaces.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            min=0,
            max=65535,
            metavar="N",
            rich_help_panel=_ADDRESS,
            help="The port to listen on. Use 0 for any free port.",
        ),
    ] = 8000,
    uds: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            rich_help_panel=_ADDRESS,
            help="The path of a Unix socket to listen on, instead of --host and --port.",
        ),
    ] = None,
    root_path: Annotated[
        str,
        typer.Option(
            metavar="PATH",
            show_default=False,
            rich_help_panel=_ADDRESS,
            help="The path below which a proxy serves the app, for example /shop. The proxy may "
            "strip it from requests or not.",
        ),
    ] = "",
    websocket: Websockets = None,
    interface: Interfaces = None,
    app_dir: AppDir = None,
) -> None:
    """Carry out ``bridge run``. The user sees :data:`HELP`."""
    with exit_on_error():
        options = RunOptions(
            apps=parse_targets(targets or (), websocket or (), interface or ()),
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
        from bridge.cli.run import run

        raise typer.Exit(run(options, None if server is None else server.value))


# -- bridge routes ---------------------------------------------------------------------------------

ROUTES_EPILOG = (
    "[bold]Examples[/]\n\n"
    "bridge routes main:app\n\n"
    "bridge routes /=flask_app:app /api=api:app --websocket /ws=chat:app"
)


@app.command("routes", epilog=ROUTES_EPILOG)
def routes_command(
    targets: Targets = None,
    websocket: Websockets = None,
    interface: Interfaces = None,
    app_dir: AppDir = None,
) -> None:
    """Show which app is mounted where, with its interface and adapters.

    Takes the same apps as `bridge run`, but starts no server. For a Router, all its mounts are
    shown.
    """
    with exit_on_error():
        apps = parse_targets(targets or (), websocket or (), interface or ())
        from bridge.cli import routes
        from bridge.cli.served_apps import load_apps

        folder = None if app_dir is None else str(app_dir)
        routes.show(routes.rows_of(load_apps(apps, folder, DEFAULT_THREADS, DEFAULT_GRACE_S)))


# -- bridge bench, bridge migrate ------------------------------------------------------------------

app.command("bench", help=bench.HELP, epilog=bench.EPILOG)(bench.bench_command)
app.add_typer(migrate_app, name="migrate")
