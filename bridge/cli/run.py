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
from bridge.cli.force_exit import LAST_S
from bridge.cli.options import RunOptions, UsageError
from bridge.cli.serve import run_server
from bridge.cli.served_apps import Part, Site
from bridge.cli.servers.registry import ServerSpec, check, choose
from bridge.cli.target import NO_LIFESPAN, TargetSpec
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
    target = _target_spec(spec, options)
    site = target.load()
    interface = _interface(site)
    _check_threads(spec, options, site, interface)
    options = _at_free_address(options)
    target.to_environment()
    _tell(spec, options, site, interface)
    return _hand_over(spec, options, site)


def _interface(site: Site) -> Interface | None:
    """Of an app that is served alone; None for what adapts itself."""
    return None if site.single is None else site.single.interface


def _check_threads(
    spec: ServerSpec, options: RunOptions, site: Site, interface: Interface | None
) -> None:
    if options.threads is None or spec.speaks == "wsgi" or interface == "wsgi":
        return
    if site.single is None:
        if any(part.interface == "wsgi" for part in site.parts):
            return
        what = "all of these are ASGI apps, and run"
    elif interface is None:
        raise UsageError(
            f"--threads: {site.single.asked.target} is a Router, which says itself how many it "
            "has: Router(..., threads=8)"
        )
    else:
        what = f"{site.single.asked.target} is an ASGI app, and runs"
    raise UsageError(
        f"--threads: {what} on {spec.name}'s event loop. "
        f"Threads are for WSGI apps, or for WSGI servers: gunicorn, waitress"
    )


def _at_free_address(options: RunOptions) -> RunOptions:
    if options.uds is not None:
        free_path(options.uds)
        return options
    return replace(options, port=free_port(options.host, options.port))


def _target_spec(spec: ServerSpec, options: RunOptions) -> TargetSpec:
    return TargetSpec(
        asked=options.asked,
        server=spec.name,
        speaks=spec.speaks,
        app_dir=None if options.app_dir is None else str(options.app_dir),
        threads=options.thread_count,
        root_path=options.root_path,
        grace_s=options.grace_s,
        log_level=options.log_level.value,
    )


# -- telling ---------------------------------------------------------------------------------------


def _tell(spec: ServerSpec, options: RunOptions, site: Site, interface: Interface | None) -> None:
    facts = {
        **_facts_of_apps(spec, site),
        "server": f"{spec.name} {spec.version}",
        "processes": _processes(options),
        "threads": _threads(spec, options, site, interface),
        "URL": url_of(options.host, options.port, options.uds, options.root_path),
    }
    panel.show(facts, [*site.notes, *_notes(spec, site)])


def _facts_of_apps(spec: ServerSpec, site: Site) -> dict[str, str]:
    part = site.single
    if part is not None:
        return {
            "app": _source(part),
            "interface": _interface_text(part),
            "adapter": _adapter(spec, part.interface),
        }
    return {
        part.asked.place + (" (WebSocket)" if part.asked.websocket else ""): (
            f"{_source(part)}  {_interface_text(part)}"
        )
        for part in site.parts
    } | {"adapter": "bridge.Router"}


def _source(part: Part) -> str:
    loaded = part.loaded
    return loaded.source if loaded.file is None else f"{loaded.source}  {_short(loaded.file)}"


def _short(file: Path) -> str:
    return str(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)


def _interface_text(part: Part) -> str:
    if part.interface is None:
        return "ASGI and WSGI"
    return part.interface.upper() + (" (as you said)" if part.asked.interface else "")


def _adapter(spec: ServerSpec, interface: Interface | None) -> str:
    if interface is None:
        return "none: the app adapts itself to every server"
    if interface == spec.speaks:
        if spec.name in NO_LIFESPAN:
            return f"bridge.universal, for the lifespan: {spec.name} runs none"
        return f"none: {spec.name} speaks {interface.upper()} itself"
    return "bridge.WsgiToAsgi" if spec.speaks == "asgi" else "bridge.AsgiToWsgi"


def _processes(options: RunOptions) -> str:
    return f"{options.workers}" + (", reloading on changes" if options.reload else "")


def _threads(spec: ServerSpec, options: RunOptions, site: Site, interface: Interface | None) -> str:
    each = " in each process" if options.workers > 1 else ""
    if spec.speaks == "asgi" and interface != "wsgi":
        if site.single is None and any(part.interface == "wsgi" for part in site.parts):
            return f"{options.thread_count}{each}, for the WSGI apps"
        if site.is_universal and site.single is not None:
            return "as the app says itself: threads= where it is made"
        return "none: the app runs on the event loop"
    return f"{options.thread_count}{each}"


def _notes(spec: ServerSpec, site: Site) -> list[str]:
    if spec.speaks == "wsgi" and any(part.interface != "wsgi" for part in site.parts):
        return [f"no WebSockets: {spec.name} cannot carry them"]
    return []


# -- handing over ----------------------------------------------------------------------------------


def _hand_over(spec: ServerSpec, options: RunOptions, site: Site) -> int:
    arguments = spec.arguments(replace(options, watched=_watched(options, site)))
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


def _watched(options: RunOptions, site: Site) -> tuple[Path, ...]:
    """The folders to watch when reloading, where they are not just the current one."""
    folders = [file.parent for file in site.files]
    if options.app_dir is not None:
        folders.insert(0, options.app_dir)
    unique = tuple(dict.fromkeys(folder.absolute() for folder in folders))
    return () if unique == (Path.cwd(),) else unique
