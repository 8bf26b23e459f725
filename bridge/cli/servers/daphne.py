"""daphne, with a shutdown that lets open requests finish, and with the app's lifespan.

On a signal, daphne cancels every request at once. Here it stops listening, lets open requests
finish and their responses be sent, and cancels the rest when the grace period is over. It runs on
the main thread, in Twisted's reactor.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from typing import TYPE_CHECKING, Any

from bridge._threads.own_tasks import own_task
from bridge.cli.options import LogLevel, RunOptions
from bridge.cli.servers.spec import SERVED_APP, ServerSpec
from bridge.cli.shutdown import LINGER_S

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

__all__ = ["SPEC"]

POLL_S = 0.05
CANCEL_S = 2.0
"""Seconds that cancelled requests get to finish."""


def _command_line(options: RunOptions) -> list[str]:
    where = ["--bind", options.host, "--port", str(options.port)]
    if options.fd is not None:
        where = ["--fd", str(options.fd)]
    elif options.uds is not None:
        where = ["-u", str(options.uds)]
    verbosity = {LogLevel.DEBUG: 2, LogLevel.INFO: 1}.get(options.log_level, 0)
    # Above verbosity 0 daphne logs requests, to stdout or to a file.
    logs = [] if options.logs_requests or not verbosity else ["--access-log", os.devnull]
    grace = ["--grace-s", str(options.grace_s)]
    return [*grace, *where, "--verbosity", str(verbosity), *logs, SERVED_APP]


def _main() -> None:
    """Run daphne's own command line, and ``--grace-s``."""
    from daphne.cli import (  # type: ignore[import-untyped]  # first: it installs Twisted's reactor
        CommandLineInterface,
    )
    from daphne.server import Server  # type: ignore[import-untyped]  # no stubs

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--grace-s", type=float, required=True)
    options, arguments = parser.parse_known_args()

    class DrainingServer(_Draining, Server):  # type: ignore[misc]  # no stubs
        grace_s = options.grace_s

    command = CommandLineInterface()
    command.server_class = DrainingServer
    command.run(arguments)


class _Draining:
    """What is different from daphne's own server, which follows in the class hierarchy."""

    grace_s: float
    connections: dict[Any, dict[str, Any]]

    def listen_success(self, port: Any) -> None:
        """Called for each listening port: it is closed as soon as the shutdown begins."""
        super().listen_success(port)  # type: ignore[misc]  # daphne's
        _reactor().addSystemEventTrigger("before", "shutdown", port.stopListening)

    def kill_all_applications(self) -> Deferred[None]:
        """Called when the shutdown begins.

        :returns: a Deferred; the reactor runs until it fires.
        """
        from twisted.internet.defer import Deferred

        draining = own_task(self._drain(), asyncio.get_running_loop(), name="bridge-drain")
        return Deferred.fromFuture(draining)

    async def _drain(self) -> None:
        deadline = time.monotonic() + self.grace_s
        _close_after_each_response()
        await asyncio.sleep(min(LINGER_S, self.grace_s))
        while time.monotonic() < deadline and (self._running() or self._is_sending()):  # noqa: ASYNC110 - Twisted notifies of neither
            await asyncio.sleep(POLL_S)
        left = self._running()
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=CANCEL_S)

    def _running(self) -> list[asyncio.Task[Any]]:
        tasks = [details.get("application_instance") for details in self.connections.values()]
        return [task for task in tasks if task is not None and not task.done()]

    def _is_sending(self) -> bool:
        """Whether responses of finished apps are still in Twisted's buffers."""
        return bool(_reactor().getWriters())


def _close_after_each_response() -> None:
    from twisted.web import http

    channel_class: Any = http.HTTPChannel

    def check_persistence(channel: Any, request: Any, version: bytes) -> bool:
        request.responseHeaders.setRawHeaders(b"connection", [b"close"])
        return False

    channel_class.checkPersistence = check_persistence


def _reactor() -> Any:
    """Twisted's reactor. Importing it installs one, so daphne has to be imported first."""
    from twisted.internet import reactor

    return reactor


SPEC = ServerSpec(
    name="daphne",
    interface="asgi",
    requirement="daphne",
    command_line=_command_line,
    main=_main,
    unsupported={
        "--workers": "it runs as a single process",
        "--reload": "it cannot restart itself",
        "--max-requests": "it runs as a single process",
        "--fd of a Unix socket": "it lets everyone write to the socket, and removes it at its end",
    },
    ignores_lifespan=True,
    is_only_on_asyncio=True,
)
