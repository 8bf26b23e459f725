"""``bridge run``: load the app, look what it is, say so, and hand over to the server.

What enters: :class:`~bridge.cli.options.RunOptions` and the name of a server. What leaves: the exit
code of a server that has run in this process; or no return at all, where the process becomes the
server by ``exec``. Raises :class:`~bridge.errors.BridgeError` with what the user should read.

The app is loaded here first, so that its mistakes are told in words before any server is involved.
If this process goes on to run it, that was the only time. If workers are to run it, the process
starts over as the bare server: their memory then holds nothing that a reload could not renew.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from bridge.cli import panel
from bridge.cli.address import free_path, free_port, url_of
from bridge.cli.last_resort import LAST_S
from bridge.cli.options import RunOptions, UsageError
from bridge.cli.serve import run_server
from bridge.cli.servers import ServerSpec, check, choose
from bridge.cli.target import TargetSpec, load_once
from bridge.errors import AmbiguousApp
from bridge.loader import LoadedApp
from bridge.types import Interface

__all__ = ["run"]


def run(options: RunOptions, server_name: str | None) -> int:
    """Serve what the options ask for, until the server ends.

    :returns: the exit code.
    :raises UsageError: the command line cannot be carried out.
    :raises AppLoadError: there is no such app, or its own code failed.
    :raises AmbiguousApp: its interface cannot be told, and was not given.
    :raises AddressError: nothing can listen there.
    """
    spec = choose(server_name)
    check(spec, options)
    app_dir = None if options.app_dir is None else str(options.app_dir)
    loaded = load_once(options.target, app_dir)
    interface = options.interface or _interface(loaded)
    _check_threads(spec, options, interface)
    options = _at_free_address(options)
    _target_spec(spec, options, app_dir).to_environment()
    _tell(spec, options, loaded, interface)
    return _hand_over(spec, options, loaded)


def _interface(loaded: LoadedApp) -> Interface:
    try:
        return loaded.interface
    except AmbiguousApp as error:
        raise AmbiguousApp(
            f"{loaded.source}: {error} On the command line, choose with --interface wsgi or asgi."
        ) from None


def _check_threads(spec: ServerSpec, options: RunOptions, interface: Interface) -> None:
    if options.threads is not None and spec.speaks == interface == "asgi":
        raise UsageError(
            f"--threads: {options.target} is an ASGI app, and runs on {spec.name}'s event loop. "
            f"Threads are for WSGI apps, or for WSGI servers: gunicorn, waitress"
        )


def _at_free_address(options: RunOptions) -> RunOptions:
    if options.uds is not None:
        free_path(options.uds)
        return options
    return replace(options, port=free_port(options.host, options.port))


def _target_spec(spec: ServerSpec, options: RunOptions, app_dir: str | None) -> TargetSpec:
    return TargetSpec(
        target=options.target,
        server=spec.name,
        speaks=spec.speaks,
        interface=options.interface,
        app_dir=app_dir,
        threads=options.thread_count,
        root_path=options.root_path,
        grace_s=options.grace_s,
        log_level=options.log_level.value,
    )


# -- telling ---------------------------------------------------------------------------------------


def _tell(spec: ServerSpec, options: RunOptions, loaded: LoadedApp, interface: Interface) -> None:
    facts = {
        "app": loaded.source if loaded.file is None else f"{loaded.source}  {_short(loaded.file)}",
        "interface": interface.upper() + (" (as you said)" if options.interface else ""),
        "adapter": _adapter(spec, interface),
        "server": f"{spec.name} {spec.version}",
        "processes": _processes(options),
        "threads": _threads(spec, options, interface),
        "URL": url_of(options.host, options.port, options.uds, options.root_path),
    }
    panel.show(facts, [*loaded.notes, *_notes(spec, interface)])


def _short(file: Path) -> str:
    return str(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)


def _adapter(spec: ServerSpec, interface: Interface) -> str:
    if interface == spec.speaks:
        return f"none: {spec.name} speaks {interface.upper()} itself"
    return "bridge.WsgiToAsgi" if spec.speaks == "asgi" else "bridge.AsgiToWsgi"


def _processes(options: RunOptions) -> str:
    return f"{options.workers}" + (", reloading on changes" if options.reload else "")


def _threads(spec: ServerSpec, options: RunOptions, interface: Interface) -> str:
    if spec.speaks == interface == "asgi":
        return "none: the app runs on the event loop"
    each = " in each process" if options.workers > 1 else ""
    return f"{options.thread_count}{each}"


def _notes(spec: ServerSpec, interface: Interface) -> list[str]:
    if spec.name == "daphne" and interface == "asgi":
        return ["daphne runs no lifespan: the app's startup and shutdown do not happen"]
    if spec.speaks == "wsgi" and interface == "asgi":
        return [f"no WebSockets: {spec.name} cannot carry them"]
    return []


# -- handing over ----------------------------------------------------------------------------------


def _hand_over(spec: ServerSpec, options: RunOptions, loaded: LoadedApp) -> int:
    arguments = spec.arguments(replace(options, app_dir=_watched(options, loaded)))
    if spec.serves_here(options):
        return run_server(spec.module, arguments)
    # Workers may drain and then shut down their lifespan after the master has done its part.
    last_s = LAST_S + 2 * options.grace_s
    command = [sys.executable, "-m", "bridge.cli.serve", str(last_s), spec.module, *arguments]
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "nt":  # exec there returns to the shell while the new process goes on
        return subprocess.call(command)
    return _become(command)


def _become(command: list[str]) -> NoReturn:
    os.execv(command[0], command)


def _watched(options: RunOptions, loaded: LoadedApp) -> Path | None:
    """The folder to watch when reloading, where it is not the current one."""
    folder = options.app_dir or (loaded.file.parent if loaded.file is not None else None)
    return None if folder is None or folder.absolute() == Path.cwd() else folder
