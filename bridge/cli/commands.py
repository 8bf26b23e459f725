"""The commands of ``bridge``, as click parses them and ``--help`` shows them.

The modules that carry out a command are imported when it runs, so that ``bridge --help`` is fast.
Each command ends in `click.exceptions.Exit`; see `bridge.cli.exit_errors`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.exceptions import Exit

from bridge._version import __version__, version_line
from bridge.cli.bench.command import bench_command
from bridge.cli.capacity.command import plan_capacity_command
from bridge.cli.command_help import CommaList, Group, Integer, Number, option
from bridge.cli.config_file import config_text, use_config
from bridge.cli.control.commands import stacks_command, top_command
from bridge.cli.control.spec import check_control
from bridge.cli.env_file import load_env_file
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
from bridge.cli.root_path import normal_healthz, normal_root_path
from bridge.cli.servers.registry import SERVERS
from bridge.cli.targets import parse_targets, takes_apps

__all__ = ["app"]


@click.group("bridge", cls=Group, epilog="Start with: bridge run --help")
@click.version_option(__version__, message=version_line())
def app() -> None:
    """Run WSGI apps on ASGI servers, and ASGI apps on WSGI servers."""


# -- bridge run ------------------------------------------------------------------------------------

_ADDRESS, _SERVER, _LOG = "Address", "Server", "Requests"
_CONFIGURATION = "Configuration"
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
    "--queue-timeout-s",
    type=Number(0),
    metavar="N",
    section=_SERVER,
    help="How long a request may wait for a thread of a WSGI app, in seconds, on ASGI servers. "
    f"Then the answer is 503. 0: without limit. Default: {_WSGI.queue_timeout_s:g}.",
)
@option(
    "--request-timeout-s",
    type=Number(0),
    metavar="N",
    section=_SERVER,
    help="How long a request to an app behind an adapter may make no progress, in seconds. Then "
    "the answer is 504, and the thread of a WSGI app is replaced. 0: without limit. Default: "
    f"{_WSGI.request_timeout_s:g}.",
)
@option(
    "--limit",
    "limits",
    multiple=True,
    metavar="PATH=N[:BACKLOG]",
    section=_SERVER,
    help="How many threads the requests below a path of WSGI apps may use, and how many of them may"
    " wait, on ASGI servers: for example /reports=8:50. Repeatable.",
)
@option(
    "--reserve",
    "reserved",
    multiple=True,
    metavar="PATH",
    section=_SERVER,
    help="Serve the requests below a path of WSGI apps on a thread of their own, also while all "
    "others are busy, on ASGI servers: for example /healthz. Repeatable.",
)
@option(
    "--loop-lag-target-s",
    type=Number(0),
    metavar="N",
    section=_SERVER,
    help="Run WSGI apps on fewer threads while those that compute make the event loop later than "
    "this, in seconds, on ASGI servers. 0: never. Default: "
    f"{_WSGI.loop_lag_target_s:g}.",
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
    "--spool-bytes",
    type=Integer(0),
    metavar="N",
    section=_SERVER,
    help="How many bytes of WSGI responses may wait for slow clients in temporary files, on ASGI "
    f"servers. 0: threads wait. Default: {_WSGI.spool_bytes}.",
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
    "--drain-s",
    type=Number(0),
    default=0,
    show_default=True,
    metavar="N",
    section=_SERVER,
    help="How long to serve on after SIGTERM before the shutdown begins, in seconds, so that load "
    "balancers notice that --healthz is no longer ready. Ctrl-C does not wait.",
)
@option(
    "--max-requests",
    type=Integer(1),
    metavar="N",
    section=_SERVER,
    help="Replace a worker once it has served so many requests. For two or more workers.",
)
@option(
    "--max-requests-jitter",
    type=Integer(0),
    default=0,
    show_default=True,
    metavar="N",
    section=_SERVER,
    help="Let each worker serve up to so many requests more than --max-requests, a random number, "
    "so that they are not replaced at the same time.",
)
@option(
    "--healthz",
    metavar="PATH",
    section=_SERVER,
    help="Answer health checks at PATH/live and PATH/ready, before the app. Example: --healthz "
    "/healthz.",
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
    "--fd",
    type=Integer(0),
    metavar="N",
    section=_ADDRESS,
    help="The number of an open socket that listens already, instead of the other addresses. "
    "systemd passes its first socket as 3.",
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
@option(
    "--trusted",
    type=CommaList(),
    default=(),
    metavar="ADDRESS,...",
    section=_ADDRESS,
    help="The proxies that are believed about the client of a request: addresses, networks such as "
    "10.0.0.0/8, or unix for those that connect through --uds. Default: none.",
)
@option(
    "--proxy-headers",
    type=CommaList(),
    default=(),
    metavar="NAME,...",
    section=_ADDRESS,
    help="The headers that each of these proxies sets or removes: x-forwarded-for, -proto, -host, "
    "-port, -prefix, with the names in full, or forwarded. Default: "
    "x-forwarded-for,x-forwarded-proto.",
)
@option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    callback=use_config,
    is_eager=True,
    expose_value=False,
    metavar="PATH",
    section=_CONFIGURATION,
    help="A TOML file with any of these options in its table [run], or a pyproject.toml with "
    "[tool.bridge.run]. Options of the command line win.",
)
@option(
    "--env-file",
    type=click.Path(path_type=Path),
    metavar="PATH",
    section=_CONFIGURATION,
    help="A file with lines NAME=VALUE: environment variables for the app, unless they are set "
    "already.",
)
@option(
    "--print-config",
    is_flag=True,
    section=_CONFIGURATION,
    help="Show the value of each option and where it comes from, as a file for --config, and exit.",
)
@click.pass_context
def run_command(
    ctx: click.Context,
    /,
    targets: tuple[str, ...],
    websockets: tuple[str, ...],
    interfaces: tuple[str, ...],
    server: str | None,
    root_path: str,
    healthz: str | None,
    log_level: str,
    access_log: str | None,
    env_file: Path | None,
    print_config: bool,
    **given: Any,
) -> None:
    """Serve one or more apps, WSGI or ASGI, on any server.

    Detects the interface of each app, adapts the app if the server needs the other one, and starts
    the server. On Ctrl-C or SIGTERM, open requests are finished first.
    """
    with exit_on_error():
        check_control(given["control"])
        targets = targets or tuple((ctx.default_map or {}).get("targets", ()))  # click 8.1 does not
        options = RunOptions(
            apps=parse_targets(targets, websockets, interfaces),
            root_path=normal_root_path(root_path),
            healthz=normal_healthz(healthz),
            log_level=LogLevel(log_level),
            access_log=None if access_log is None else AccessLogMode(access_log),
            **given,
        )
        if print_config:
            click.echo(config_text(ctx, {**ctx.params, "targets": targets}), nl=False)
            raise Exit(0)
        if env_file is not None:
            load_env_file(env_file)
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
app.add_command(plan_capacity_command)
app.add_command(migrate_group)
