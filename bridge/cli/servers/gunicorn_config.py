"""gunicorn's settings as `bridge run` needs them; given to it by ``--config python:...``.

What enters: gunicorn's calls of its hooks, in its master and in its workers, on their main threads.
What leaves: ASGI apps that start and shut down with their workers (`bridge.contrib.gunicorn`), and
processes that take Ctrl-C for what SIGTERM is to them: gunicorn takes it as a wish to drop every
request at once. A second Ctrl-C still is that wish.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

from bridge.contrib.gunicorn import post_worker_init, worker_exit

__all__ = ["post_fork", "post_worker_init", "when_ready", "worker_exit"]


def when_ready(server: Any) -> None:
    """gunicorn's hook: the master listens."""
    signal.signal(signal.SIGINT, _gracefully_first(server.signal))


def post_fork(server: Any, worker: Any) -> None:
    """gunicorn's hook: a worker begins. Ctrl-C in a terminal reaches it too; the master decides."""
    init_signals = worker.init_signals

    def ignore_ctrl_c() -> None:
        init_signals()
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    worker.init_signals = ignore_ctrl_c  # called before the app is imported, which may take long


def _gracefully_first(handler: Callable[[int, FrameType | None], None]) -> Callable[..., None]:
    wishes = iter([signal.SIGTERM])

    def handle(number: int, frame: FrameType | None) -> None:
        handler(next(wishes, signal.SIGINT), frame)

    return handle
