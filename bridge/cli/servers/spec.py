"""The shape of a server for ``bridge run``, and the command-line options that servers share.

Importing this, or the module of a server, imports no server.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import runpy
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bridge._threads.loop_choice import loop_choice
from bridge.cli.options import RunOptions
from bridge.types import AsgiApp, Interface

__all__ = [
    "SERVED_APP",
    "ServerSpec",
    "access_log_options",
    "bind_address",
    "host_options",
    "is_importable",
    "loop_options",
]

SERVED_APP = "bridge.cli.served:app"


@dataclass(frozen=True, kw_only=True)
class ServerSpec:
    """How one server is found and run, and what is missing in it.

    :ivar name: of the server, its package and its distribution.
    :ivar interface: the interface that it calls the app by.
    :ivar requirement: what to ``pip install`` if it is missing.
    :ivar command_line: its arguments for the given options.
    :ivar main: runs the server, with its arguments in ``sys.argv``; ``python -m name`` if not set.
    :ivar serves_in_process: whether, with these options, the process that starts the server is the
        one that runs the app. If not, the app must not be imported there: forked workers would
        inherit outdated code, and connections that cannot be shared.
    :ivar unsupported: the options that it has no way to carry out, and why.
    :ivar option_requirements: options that need another module: the module, and what to
        ``pip install`` for it.
    :ivar has_raw_socket: whether it is a WSGI server that lets apps have the connection, which
        WebSockets need.
    :ivar ignores_lifespan: whether it is an ASGI server that does not run the app's lifespan.
    :ivar is_only_on_asyncio: whether it cannot run on uvloop's event loop.
    :ivar hides_failed_workers: whether its master exits with 0 although no worker could start.
    :ivar raw_logger: the logger with which it writes what clients have sent, with control
        characters; None if it escapes them.
    :ivar variables: the environment variables that configure it by themselves, which ``main`` keeps
        it from reading: our option for each, or an empty string. May import the server.
    :ivar prepare_master: called in the process that becomes the master of its workers, before the
        server starts.
    :ivar end_worker: called on the event loop of a worker. Ends it as gracefully as SIGTERM does.
    :ivar make_graceful: called where the app is imported, with the app and the grace period in
        seconds. Returns the app, and makes up for what the server's shutdown lacks. For ASGI
        servers.
    """

    name: str
    interface: Interface
    requirement: str
    command_line: Callable[[RunOptions], list[str]]
    main: Callable[[], None] | None = None
    serves_in_process: Callable[[RunOptions], bool] = lambda options: False
    unsupported: Mapping[str, str] = field(default_factory=dict)
    option_requirements: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    has_raw_socket: bool = False
    ignores_lifespan: bool = False
    is_only_on_asyncio: bool = False
    hides_failed_workers: bool = False
    raw_logger: str | None = None
    variables: Callable[[], Mapping[str, str]] = dict
    prepare_master: Callable[[], None] = lambda: None
    end_worker: Callable[[], None] = lambda: os.kill(os.getpid(), signal.SIGTERM)
    make_graceful: Callable[[AsgiApp, float], AsgiApp] = lambda app, grace_s: app

    @property
    def is_installed(self) -> bool:
        """Whether it can be imported."""
        return is_importable(self.name)

    @property
    def version(self) -> str:
        """The installed version."""
        return importlib.metadata.version(self.name)

    def run(self) -> None:
        """Run the server in this process, with its arguments in ``sys.argv``."""
        if self.main is None:
            runpy.run_module(self.name, run_name="__main__", alter_sys=True)
        else:
            self.main()


def is_importable(module: str) -> bool:
    """Whether ``module`` is installed. Imports only its parents."""
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


def host_options(options: RunOptions) -> list[str]:
    """``--fd``, ``--uds``, or ``--host`` and ``--port``, as many servers name them."""
    if options.fd is not None:
        return ["--fd", str(options.fd)]
    if options.uds is not None:
        return ["--uds", str(options.uds)]
    return ["--host", options.host, "--port", str(options.port)]


def bind_address(options: RunOptions) -> str:
    """The value of a ``--bind`` option."""
    if options.fd is not None:
        return f"fd://{options.fd}"
    if options.uds is not None:
        return f"unix:{options.uds}"
    host = f"[{options.host}]" if ":" in options.host else options.host
    return f"{host}:{options.port}"


def loop_options(option: str) -> list[str]:
    """The event loop that ``BRIDGE_LOOP`` names, as an option of the server."""
    choice = loop_choice()
    return [] if choice is None else [option, choice]


def access_log_options(options: RunOptions) -> list[str]:
    """An access log on stdout, for servers that write none by default."""
    return ["--access-logfile", "-"] if options.logs_requests else []
