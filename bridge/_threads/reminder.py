"""Reminds the jobs that have waited for long for a thread.

An HTTP request starts to listen for its client then, which would cost too much for the many that
wait a moment. So a client that leaves the queue does not take a thread from others.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Protocol

from bridge._threads.job import Job

__all__ = ["REMIND_S", "Reminder"]

REMIND_S = 0.3
PERIOD_S = 0.1


class _Waiting(Protocol):
    def __len__(self) -> int: ...

    def copy(self) -> Iterable[Job]: ...


class Reminder:
    """Calls :meth:`~bridge._threads.job.Job.remind` of each job that waits for ``REMIND_S``.

    :param jobs: those that wait. Other threads change it meanwhile.
    """

    __slots__ = ("_armed_until", "_jobs", "_reminded_until")

    def __init__(self, jobs: _Waiting) -> None:
        self._jobs = jobs
        self._armed_until = 0.0
        self._reminded_until = 0.0

    def arm(self, loop: asyncio.AbstractEventLoop, after_s: float = REMIND_S) -> None:
        """On the loop: a job waits. One timer is enough; a loop that stops takes it along."""
        now = time.monotonic()
        if now > self._armed_until:
            self._armed_until = now + 2 * REMIND_S
            loop.call_later(after_s, self._remind, loop)

    def _remind(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            jobs = self._jobs.copy()
        except RuntimeError:  # without the interpreter lock: a thread took one at this moment
            loop.call_soon(self._remind, loop)
            return
        self._armed_until = 0.0
        last, self._reminded_until = self._reminded_until, time.monotonic() - REMIND_S
        for job in jobs:
            if last < job.posted_at <= self._reminded_until:
                job.remind()
        if self._jobs:
            self.arm(loop, PERIOD_S)
