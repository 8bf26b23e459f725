"""``bridge run --control``: where its processes open their control sockets.

Input: the option's value. Output: a :class:`ControlSpec`, which reaches each process that serves
through the environment. There it starts the listener, on the thread that imports the app.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from bridge.cli.options import UsageError
from bridge.types import AsgiApp, WsgiApp

__all__ = ["ControlSpec", "check_control", "control_spec"]

logger = logging.getLogger("bridge.control")


@dataclass(frozen=True, kw_only=True)
class ControlSpec:
    """What each process needs.

    :ivar folder: for the sockets. Checked.
    :ivar server: the PID of ``bridge run``, which its processes have in common.
    """

    folder: str
    server: int

    def watched_asgi(self, app: AsgiApp) -> AsgiApp:
        """Listen in this process; ``app``, with its requests recorded."""
        from bridge.control.recording import watch_asgi
        from bridge.control.serve import stop

        self._listen()
        # Workers of uvicorn and granian end by a signal: nothing of Python runs at their exit.
        return watch_asgi(app, stop)

    def watched_wsgi(self, app: WsgiApp) -> WsgiApp:
        """As :meth:`watched_asgi`."""
        from bridge.control.recording import watch_wsgi

        self._listen()
        return watch_wsgi(app)

    def _listen(self) -> None:
        """A process that cannot listen serves all the same."""
        from bridge.control.folders import ControlError
        from bridge.control.serve import listen

        try:
            listen(self.folder, server=self.server)
        except ControlError as error:
            logger.warning("%s", error)


def check_control(value: str | None) -> None:
    """
    :raises UsageError: the value of ``--control`` is an app, and not a path.
    """
    if value and ("=" in value or not value.startswith(("/", "./", "../"))):
        raise UsageError(
            f"--control {value}: expected a folder, such as /run/mysite or ./control. "
            "To use the default one, put --control behind the app"
        )


def control_spec(value: str | None) -> ControlSpec | None:
    """
    :param value: of ``--control``; empty for the default folder, None for no sockets.
    :raises ControlError: see :func:`bridge.control.folders.prepare`.
    """
    if value is None:
        return None
    from bridge.control.folders import prepare

    folder = prepare(Path(value) if value else None)
    return ControlSpec(folder=str(folder), server=os.getpid())
