"""The commands of ``bridge``, as click parses them and ``--help`` shows them.

The modules that carry out a command are imported when it runs, so that ``bridge --help`` is fast.
Each command ends in `click.exceptions.Exit`; see `bridge.cli.exit_errors`.
"""

from __future__ import annotations

from pathlib import Path

import click
from click.exceptions import Exit

from bridge._version import __version__, version_line
from bridge.cli.bench.command import bench_command
from bridge.cli.command_help import Group, Integer, Number, option
from bridge.cli.control.commands import stacks_command, top_command
from bridge.cli.control.spec import check_control
from bridge.cli.exit_errors import exit_on_error
from bridge.cli.metrics import DEFAULT_ADDRESS, Address
from bridge.cli.migrate import migrate_group
from bridge.cli.options import (
    DEFAULT_GRACE_S,
    AccessLogMode,
    LogLevel,
    RunOptions,
    WsgiOptions,
)
from bridge.cli.root_path import normal_root_path
from bridge.cli.servers.registry import SERVERS
from bridge.cli.targets import parse_targets, takes_apps

__all__ = ["app"]


@click.group("bridge", cls=Group, epilog="Start with: bridge run --help")
@click.version_option(__version__, message=version_line())
def app() -> None:
    """Run WSGI apps on ASGI servers, and ASGI apps on WSGI servers."""


# -- bridge run ------------------------------------------------------------------------------------

_ADDRESS, _SERVER, _LOG = "Address", "Server", "Requests"
_WSGI = WsgiOptions()

RUN_EPILOG = """\b
Examples:
  bridge run main:app
  bridge run main.py --reload
  bridge run "site:create_app('production')" --workers 4
  bridge run path/to/django/project --server granian --threads 20
  bridge run mysite.asgi:application --server gunicorn --uds /run/mysite.sock
  bridge run /=flask_app:app /api=api:app --websocket /ws=chat:app

Exit code: 0 after Ctrl-C or SIGTERM, 1 if the app or the server failed, 2 for a usage error.
"""


@app.command("run", epilog=RUN_EPILOG)
@takes_apps
@option(
    "--server",
    type=click.Choice(list(SERVERS)),
    metavar="NAME",
    section=_SERVER,
    help=f"The server: {', '.join(SERVERS)}. Default: the first of these that is installed.",
)
@option(
    "--workers",
    type=Integer(1),
    default=1,
    show_default=True,
    metavar="N",
    section=_SERVER,
    help="The number of server processes.",
)
@option(
    "--threads",
    type=Integer(1),
    metavar="N",
    section=_SERVER,
    help="The number of threads per process, for WSGI apps and for WSGI servers. Default: "
    f"{_WSGI.threads}.",
)
@option(
    "--wait-target-s",
    type=Number(0),
    metavar="N",
    section=_SERVER,
    help="How long requests may wait for a thread while more arrive than WSGI apps can serve, in "
    "seconds, on ASGI servers. The others get 503. 0: for as long as it takes. Default: "
    f"{_WSGI.wait_target_s:g}.",
)
@option(
    "--buffer-request-bytes",
    type=Integer(0),
    metavar="N",
    section=_SERVER,
    help="How many bytes of a request body are read before a WSGI app gets a thread for it, on "
    f"ASGI servers. 0: none. Default: {_WSGI.buffer_request_bytes}.",
)
@option(
    "--body-timeout-s",
    type=Number(0),
    metavar="N",
    section=_SERVER,
    help="How long a request body for a WSGI app may make no progress, in seconds, on ASGI servers."
    f" Then the answer is 408. 0: forever. Default: {_WSGI.body_timeout_s:g}.",
)
@option(
    "--reload",
    is_flag=True,
    section=_SERVER,
    help="Restart when a source file changes. For development, with one worker.",
)
@option(
    "--grace-s",
    type=Integer(1),
    default=DEFAULT_GRACE_S,
    show_default=True,
    metavar="N",
    section=_SERVER,
    help="Grace period for open requests at shutdown, in seconds.",
)
@option(
    "--log-level",
    type=click.Choice([level.value for level in LogLevel]),
    default=LogLevel.INFO.value,
    show_default=True,
    metavar="NAME",
    section=_SERVER,
    help=f"The log level: {', '.join(LogLevel)}. Without --access-log, the server logs requests "
    "at info and debug.",
)
@option(
    "--access-log",
    type=click.Choice([mode.value for mode in AccessLogMode]),
    metavar="FORMAT",
    section=_LOG,
    help="One line for each request on stdout, with its times: text or json. off: none. In place "
    "of the server's own access log, and whatever --log-level is.",
)
@option(
    "--request-id",
    is_flag=True,
    section=_LOG,
    help="Give each request and its response an X-Request-ID, unless it comes with one.",
)
@option(
    "--request-start",
    is_flag=True,
    section=_LOG,
    help="Count the time since X-Request-Start, which a proxy in front has to set, as time in the "
    "queue.",
)
@option(
    "--server-timing",
    is_flag=True,
    section=_LOG,
    help="Send the times of each request in a Server-Timing header, for anyone to read.",
)
@option(
    "--metrics",
    type=Address(),
    is_flag=False,
    flag_value=DEFAULT_ADDRESS,
    metavar="[ADDRESS]",
    section=_SERVER,
    help="Answer scrapes of Prometheus at http://ADDRESS/metrics. ADDRESS is HOST:PORT, or a PORT "
    f"of 127.0.0.1; without it, {DEFAULT_ADDRESS}. Needs the extra metrics.",
)
@option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    section=_ADDRESS,
    help="The address to listen on. Use 0.0.0.0 to listen on all interfaces.",
)
@option(
    "--port",
    type=Integer(0, 65535),
    default=8000,
    show_default=True,
    metavar="N",
    section=_ADDRESS,
    help="The port to listen on. Use 0 for any free port.",
)
@option(
    "--uds",
    type=click.Path(path_type=Path),
    metavar="PATH",
    section=_ADDRESS,
    help="The path of a Unix socket to listen on, instead of --host and --port.",
)
@option(
    "--root-path",
    default="",
    metavar="PATH",
    section=_ADDRESS,
    help="The path below which a proxy serves the app, for example /shop. The proxy may strip it "
    "from requests or not.",
)
@option(
    "--control",
    is_flag=False,
    flag_value="",
    metavar="[PATH]",
    section=_SERVER,
    help="Let `bridge top` and `bridge stacks` of the same user look into the server, through a "
    "Unix socket of each process. They are in $XDG_RUNTIME_DIR/bridge or /tmp/bridge-UID, or in "
    "the folder PATH. By default nothing listens.",
)
def run_command(
    targets: tuple[str, ...],
    websockets: tuple[str, ...],
    interfaces: tuple[str, ...],
    app_dir: Path | None,
    server: str | None,
    workers: int,
    threads: int | None,
    wait_target_s: float | None,
    buffer_request_bytes: int | None,
    body_timeout_s: float | None,
    reload: bool,
    grace_s: int,
    log_level: str,
    access_log: str | None,
    request_id: bool,
    request_start: bool,
    server_timing: bool,
    metrics: str | None,
    host: str,
    port: int,
    uds: Path | None,
    root_path: str,
    control: str | None,
) -> None:
    """Serve one or more apps, WSGI or ASGI, on any server.

    Detects the interface of each app, adapts the app if the server needs the other one, and starts
    the server. On Ctrl-C or SIGTERM, open requests are finished first.
    """
    with exit_on_error():
        check_control(control)
        options = RunOptions(
            apps=parse_targets(targets, websockets, interfaces),
            host=host,
            port=port,
            uds=uds,
            workers=workers,
            threads=threads,
            wait_target_s=wait_target_s,
            buffer_request_bytes=buffer_request_bytes,
            body_timeout_s=body_timeout_s,
            reload=reload,
            root_path=normal_root_path(root_path),
            log_level=LogLevel(log_level),
            access_log=None if access_log is None else AccessLogMode(access_log),
            request_id=request_id,
            request_start=request_start,
            server_timing=server_timing,
            metrics=metrics,
            grace_s=grace_s,
            app_dir=app_dir,
            control=control,
        )
        from bridge.cli.run import run

        raise Exit(run(options, server))


# -- bridge routes ---------------------------------------------------------------------------------

ROUTES_EPILOG = """\b
Examples:
  bridge routes main:app
  bridge routes /=flask_app:app /api=api:app --websocket /ws=chat:app
"""


@app.command("routes", epilog=ROUTES_EPILOG)
@takes_apps
def routes_command(
    targets: tuple[str, ...],
    websockets: tuple[str, ...],
    interfaces: tuple[str, ...],
    app_dir: Path | None,
) -> None:
    """Show which app is mounted where, with its interface and adapters.

    Takes the same apps as `bridge run`, but starts no server. For a Router, all its mounts are
    shown.
    """
    with exit_on_error():
        apps = parse_targets(targets, websockets, interfaces)
        from bridge.cli import routes
        from bridge.cli.served_apps import load_apps

        folder = None if app_dir is None else str(app_dir)
        routes.show(routes.rows_of(load_apps(apps, folder, WsgiOptions(), DEFAULT_GRACE_S)))


# -- the other commands ----------------------------------------------------------------------------

app.add_command(top_command)
app.add_command(stacks_command)
app.add_command(bench_command)
app.add_command(migrate_group)
