"""granian: open requests are cancelled when the grace period is over, before granian kills them.

The defects of its shutdown were seen in granian 2.8.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import os
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from bridge._threads.loop_choice import VARIABLE
from bridge.cli.options import RunOptions
from bridge.cli.servers.spec import SERVED_APP, ServerSpec, host_options, loop_options
from bridge.cli.servers.variables import click_variables
from bridge.cli.shutdown import let_new_workers_end
from bridge.types import AsgiApp, Message, Receive, Scope, Send

__all__ = ["SPEC"]

KILL_AFTER_S = 5
"""Seconds beyond the grace period that the master waits for a worker to clean up."""
SERVES_AFTER_S = 0.1
"""Seconds after the lifespan startup, when the event loop runs again to serve."""


def _command_line(options: RunOptions) -> list[str]:
    reload = ["--reload"] if options.reload else []
    if options.reload:
        reload += [word for folder in options.watched for word in ("--reload-paths", str(folder))]
    logs = ["--log-level", options.log_level.value]
    logs += ["--access-log"] if options.logs_requests else []
    fixed = ["--interface", "asgi", "--workers", str(options.workers)]
    kill = ["--workers-kill-timeout", str(options.grace_s + KILL_AFTER_S)]
    loop = loop_options("--loop")
    return [SERVED_APP, *host_options(options), *fixed, *reload, *loop, *logs, *kill]


def _main() -> None:
    """Run granian's own command, which reads its options from no variables then, and ``--fd``."""
    import granian.cli

    cli: Any = granian.cli
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--fd", type=int)
    options, arguments = parser.parse_known_args()
    if options.fd is not None:
        cli.Server = _inheriting(cli.Server, options.fd)  # what cli() starts
    cli.cli(arguments, auto_envvar_prefix=None)


def _inheriting(server: type[Any], fd: int) -> type[Any]:
    """granian's server, with its workers on an open socket: it has no option for that."""
    from granian import net

    holder: Any = net  # its type stub does not have what it can do

    class Inheriting(server):  # type: ignore[misc]  # a class given as a value
        _bind_addr_fmt = f"fd {fd}"

        def _init_shared_socket(self) -> None:
            self._sso = socket.socket(fileno=fd)
            self._sso.set_inheritable(True)
            self._ssp = None
            self._sfd = fd
            self._shd = holder.SocketHolder(fd, self._sso.family == socket.AF_UNIX, self.backlog)

    return Inheriting


def _make_graceful(app: AsgiApp, grace_s: float) -> AsgiApp:
    if os.name == "posix" and threading.current_thread() is threading.main_thread():
        return _CancelAfterGrace(app, grace_s)
    return app


class _CancelAfterGrace:
    """Cancels the requests that are still open when the grace period is over.

    Granian waits for open requests and then kills the process with SIGKILL: no generator is closed,
    and no lifespan shut down. Its kill timeout is set beyond the grace period; this comes first.

    Rule 1. A handler in front of granian's own sees SIGTERM. It is installed when the lifespan
            starts.
    Rule 2. Granian's handler is called once, not twice: a second signal can make granian deadlock.
            So Ctrl-C, which a terminal sends to all processes, is left to the master; SIGTERM
            follows from there.
    Rule 3. Granian runs its loop once for the lifespan's startup and again to serve. A signal in
            between would be lost, and is raised again when it serves.

    Runs on the main thread, which is the loop thread.
    """

    def __init__(self, app: AsgiApp, grace_s: float) -> None:
        self._app = app
        self._grace_s = grace_s
        self._running: set[asyncio.Task[Any]] = set()
        self._missed_signal = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._lifespan(scope, receive, send)
        task = asyncio.current_task()
        if task is None:
            return await self._app(scope, receive, send)
        self._running.add(task)
        try:
            await self._app(scope, receive, send)
        finally:
            self._running.discard(task)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        self._install_handlers(loop)
        has_failed = False

        async def watched_send(message: Message) -> None:
            nonlocal has_failed
            has_failed = message["type"].endswith(".failed")
            loop.call_later(SERVES_AFTER_S, self._raise_missed_signal)
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except BaseException as error:  # the app may have no lifespan: granian serves it anyway
            loop.call_later(SERVES_AFTER_S, self._raise_missed_signal)
            if has_failed and isinstance(error, Exception):
                return  # granian has logged the message, and would log this as well
            raise

    def _install_handlers(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        handler = signal.getsignal(signal.SIGTERM)
        if callable(handler):
            signal.signal(signal.SIGTERM, functools.partial(self._on_sigterm, loop, handler))

    def _on_sigterm(
        self,
        loop: asyncio.AbstractEventLoop,
        handler: Callable[..., Any],
        number: int,
        frame: FrameType | None,
    ) -> None:
        self._missed_signal = not loop.is_running()
        loop.call_soon_threadsafe(loop.call_later, self._grace_s, self._cancel_all)
        handler(number, frame)

    def _raise_missed_signal(self) -> None:
        if self._missed_signal:
            signal.raise_signal(signal.SIGTERM)

    def _cancel_all(self) -> None:
        for task in self._running:
            task.cancel("the grace period after SIGTERM or Ctrl-C is over")


SPEC = ServerSpec(
    name="granian",
    interface="asgi",
    requirement="granian",
    command_line=_command_line,
    main=_main,
    variables=functools.partial(
        click_variables,
        "granian",
        "granian.cli",
        "cli",
        {
            "--workers-kill-timeout": "--grace-s",
            "--url-path-prefix": "--root-path",
            "--loop": VARIABLE,
        },
    ),
    unsupported={"--max-requests": "it counts no requests"},
    option_requirements={"--reload": ("watchfiles", "granian[reload]")},
    raw_logger="granian.access",
    prepare_master=let_new_workers_end,
    make_graceful=_make_graceful,
)
