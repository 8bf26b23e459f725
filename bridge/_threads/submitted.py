"""A submitted callable as a job: the ``concurrent.futures`` face of our own queues.

What enters: a callable, and the thread that runs the job. What leaves: its outcome, in a future.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

__all__ = ["Submitted"]


class Submitted:
    """Runs once, or is discarded.

    :ivar future: for whoever submitted it. Cancelling it before its turn means it never runs.
    """

    __slots__ = ("_call", "future", "posted_at")

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self.future: Future[Any] = Future()
        self.posted_at = time.monotonic()

    def run(self) -> None:
        """On the thread it was meant for; never raises."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self._call()
        except BaseException as error:
            self.future.set_exception(error)
            del self  # the exception's traceback holds this frame: break the cycle
        else:
            self.future.set_result(result)

    def discard(self) -> None:
        """Nobody will run it."""
        self.future.cancel()
