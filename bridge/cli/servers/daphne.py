"""daphne, with a shutdown that drains. Run by `bridge.cli.serve`.

What enters: daphne's own command line, and the grace from the environment. What leaves: a server on
the main thread, in Twisted's reactor. Told to end, daphne cancels every request at once. Here it
stops listening, lets what runs finish and go out, and cancels what is left when the grace is over.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from daphne.cli import (  # type: ignore[import-untyped]  # first: it installs Twisted's reactor
    CommandLineInterface,
)
from daphne.server import Server  # type: ignore[import-untyped]
from twisted.internet import defer, reactor

from bridge.cli.target import TargetSpec

__all__ = ["main"]

_reactor: Any = reactor  # a module to the eye of a type checker
TURN_S = 0.05
CLOSING_S = 2.0


class DrainingServer(Server):  # type: ignore[misc]  # daphne has no types
    """daphne's server, which lets open requests finish."""

    def listen_success(self, port: Any) -> None:
        """A listener is there: it stops as soon as the shutdown begins."""
        super().listen_success(port)
        _reactor.addSystemEventTrigger("before", "shutdown", port.stopListening)

    def kill_all_applications(self) -> defer.Deferred[None]:
        """Called when the shutdown begins, in place of daphne's own.

        :returns: a Deferred; the reactor goes on until it fires.
        """
        return defer.Deferred.fromFuture(asyncio.ensure_future(self._drain()))

    async def _drain(self) -> None:
        deadline = time.monotonic() + TargetSpec.from_environment().grace_s
        while time.monotonic() < deadline and (self._running() or self._is_sending()):  # noqa: ASYNC110 - Twisted tells neither
            await asyncio.sleep(TURN_S)
        left = self._running()
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=CLOSING_S)

    def _running(self) -> list[asyncio.Task[Any]]:
        tasks = [details.get("application_instance") for details in self.connections.values()]
        return [task for task in tasks if task is not None and not task.done()]

    def _is_sending(self) -> bool:
        """Whether responses of finished apps still wait in Twisted's buffers for their clients."""
        return bool(_reactor.getWriters())


class DrainingCommandLineInterface(CommandLineInterface):  # type: ignore[misc]  # as above
    """daphne's command line, which starts :class:`DrainingServer`."""

    server_class = DrainingServer


def main() -> None:
    """Serve what the command line says, until a signal."""
    DrainingCommandLineInterface.entrypoint()


if __name__ == "__main__":
    main()
