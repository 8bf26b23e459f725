"""``bridge run``: load the apps, show what is served, and start the server.

Takes :class:`~bridge.cli.options.RunOptions` and the name of a server. Returns the exit code of a
server that has run in this process, or replaces this process with the server by ``exec`` and does
not return. Raises :class:`~bridge.errors.BridgeError` with a message for the user.

The apps are loaded here first, so that their errors are reported before any server is involved. If
this process goes on to serve them, they are not loaded again. If workers serve them, the process
starts over as the bare server: its memory then holds nothing that a reload could not replace.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from bridge.cli import limits, panel
from bridge.cli.address import free_path, free_port
from bridge.cli.build_app import AppSpec, adapt
from bridge.cli.control.spec import control_spec
from bridge.cli.inherited import with_inherited_address
from bridge.cli.metrics import MetricsSpec, check_metrics, url_of_metrics
from bridge.cli.metrics_folder import share_folder
from bridge.cli.options import RunOptions, UsageError, WsgiOptions
from bridge.cli.path_limits import read_limits
from bridge.cli.proxies import Proxies
from bridge.cli.served_apps import ServedApps
from bridge.cli.servers.process import run_server
from bridge.cli.servers.registry import SERVERS, check_options, choose_server
from bridge.cli.servers.spec import ServerSpec
from bridge.cli.servers.variables import ignored_variables
from bridge.cli.shutdown import EXIT_S
from bridge.types import Interface

__all__ = ["run"]

_DONE_BY_WSGI_SERVERS = {
    "--buffer-request-bytes": "reads request bodies",
    "--body-timeout-s": "reads request bodies",
    "--loop-lag-target-s": "runs the threads",
    "--spool-bytes": "sends responses",
}
_IN_CODE = {
    "--threads": "threads=8",
    "--loop-lag-target-s": "loop_lag_target_s=0.02",
    "--limit": "limits={'/reports': Limit(threads=8)}",
    "--reserve": "limits={'/healthz': Limit(threads=1, reserved=True)}",
}


def run(options: RunOptions, server_name: str | None) -> int:
    """Serve the requested apps until the server stops.

    :returns: the exit code.
    :raises UsageError: the command line cannot be executed.
    :raises ConfigError: likewise: an option has a value that is not allowed.
    :raises AppLoadError: an app cannot be found, or its own code failed.
    :raises AmbiguousApp: an app's interface cannot be detected, and was not given.
    :raises AddressError: no server can listen at the address, or on the socket of ``--fd``.
    :raises ControlError: control sockets are wanted where other users could reach them.
    """
    spec = choose_server(server_name)
    options = with_inherited_address(options)
    check_options(spec, options)
    read_limits(options.wsgi.limits, options.wsgi.reserved)  # raises before anything is loaded
    metrics = check_metrics(options, spec)
    app_spec = _app_spec(spec, options, metrics)
    served = app_spec.load()
    control = control_spec(options.control)
    _check_wsgi_options(spec, options, served)
    limits.check_given(spec, options, served)
    if not spec.serves_in_process(options):
        adapt(served, app_spec, spec)  # raises here, and not in each worker, again and again
    options = _with_free_address(options)
    replace(app_spec, control=control).to_environment()
    notes = panel.notes_of(spec, served) + ignored_variables(spec.name, spec.variables())
    facts = panel.facts_of(spec, options, served, limits.facts_of(spec, options, served))
    if control is not None:
        facts["control"] = _control_fact(control.server, options.control and control.folder)
    if metrics is not None:
        facts["metrics"] = url_of_metrics(metrics)
        share_folder(options)
    panel.show(facts, notes)
    return _start(spec, options, served)


def _control_fact(server: int, folder: str | None) -> str:
    """:param folder: if it is not the default one, where the commands do not look by themselves."""
    return f"bridge top {folder or server}"


def _check_wsgi_options(spec: ServerSpec, options: RunOptions, served: ServedApps) -> None:
    """Reject options for WSGI apps where they would have no effect.

    Interfaces are detected here, so that a failure comes before the check of the address.
    """
    for option, given in options.given_for_wsgi.items():
        if given is not None:
            _check_wsgi_option(option, spec, served)


def _check_wsgi_option(option: str, spec: ServerSpec, served: ServedApps) -> None:
    is_threads = option == "--threads"
    if spec.interface == "wsgi":
        if not is_threads:
            does = _DONE_BY_WSGI_SERVERS.get(option, "queues requests")
            raise UsageError(
                f"{option}: {spec.name} is a WSGI server, which {does} itself. "
                f"This is for WSGI apps on ASGI servers: {_servers('asgi')}"
            )
        return
    if "wsgi" in [part.interface for part in served.parts]:
        return
    single = served.single
    if single is None:
        apps = "all of these are ASGI apps, which run"
    elif single.interface is None or single.own_adapter is not None:
        it = "the number" if is_threads else "it"
        raise UsageError(
            f"{option}: {single.requested.target} is a {type(single.loaded.app).__name__}, which "
            f"sets {it} itself: {_in_code(single.loaded.app, option)}"
        )
    else:
        apps = f"{single.requested.target} is an ASGI app, which runs"
    use = f"Threads are for WSGI apps, and for WSGI servers: {_servers('wsgi')}"
    raise UsageError(
        f"{option}: {apps} on the event loop of {spec.name}. "
        f"{use if is_threads else 'This is for WSGI apps'}"
    )


def _servers(interface: Interface) -> str:
    return ", ".join(each.name for each in SERVERS.values() if each.interface == interface)


def _in_code(app: object, option: str) -> str:
    """How the app's own code sets an option."""
    name = type(app).__name__
    made_by = {"DjangoApplication": "get_asgi_application", "WsgiToAsgi": "to_asgi"}
    keyword = option.removeprefix("--").replace("-", "_")
    argument = _IN_CODE.get(option) or f"{keyword}={WsgiOptions().keywords[keyword]}"
    return f"{made_by.get(name, name)}(..., {argument})"


def _with_free_address(options: RunOptions) -> RunOptions:
    if options.fd is not None:
        return options
    if options.uds is not None:
        free_path(options.uds)
        return options
    return replace(options, port=free_port(options.host, options.port))


def _app_spec(spec: ServerSpec, options: RunOptions, metrics: MetricsSpec | None) -> AppSpec:
    return AppSpec(
        apps=options.apps,
        server=spec.name,
        app_dir=None if options.app_dir is None else str(options.app_dir),
        wsgi=options.wsgi,
        root_path=options.root_path,
        grace_s=options.grace_s,
        log_level=options.log_level.value,
        observe=options.observe,
        metrics=metrics,
        proxies=Proxies.parse(
            options.trusted,
            options.proxy_headers,
            unix=options.uds is not None,
            root_path=options.root_path,
        ),
        healthz=options.healthz,
        max_requests=options.max_requests or 0,
        max_requests_jitter=options.max_requests_jitter,
    )


def _start(spec: ServerSpec, options: RunOptions, served: ServedApps) -> int:
    arguments = spec.command_line(replace(options, watched=_watched(options, served)))
    drain_s = options.drain_s if options.announces_stop else None
    if spec.serves_in_process(options):
        return run_server(spec, arguments, drain_s=drain_s)
    # Workers may drain, and then shut down their lifespan, after the master has stopped serving.
    exit_s = EXIT_S + 2 * options.grace_s
    module = ["-m", "bridge.cli.servers.process"]
    command = [sys.executable, *module, spec.name, str(exit_s), str(drain_s), *arguments]
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "nt":  # exec there returns to the shell while the new process runs on
        return subprocess.call(command)
    return _become(command)


def _become(command: list[str]) -> NoReturn:
    os.execv(command[0], command)


def _watched(options: RunOptions, served: ServedApps) -> tuple[Path, ...]:
    """The folders to watch when reloading; empty for the current directory alone."""
    folders = [file.parent for file in served.files]
    if options.app_dir is not None:
        folders.insert(0, options.app_dir)
    unique = tuple(dict.fromkeys(folder.absolute() for folder in folders))
    return () if unique == (Path.cwd(),) else unique
