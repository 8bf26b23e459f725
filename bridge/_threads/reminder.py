"""Jobs that wait for long are told so, for the sake of those that nobody waits for any more.

What enters: the jobs that wait in a pool. What leaves: one call of ``remind()`` for each that has
waited for ``REMIND_S``, on the thread of some event loop. An HTTP request listens for its client
from then on, which would cost too much for the many that wait a moment: so a client that leaves the
queue does not keep a thread from those that are still there.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from time import monotonic
from typing import Any

__all__ = ["REMIND_S", "Reminder"]

REMIND_S = 0.5


class Reminder:
    """One for each pool.

    :param jobs: those that wait, a ``deque`` or a ``set``. Other threads change it meanwhile.
    """

    __slots__ = ("_armed_until", "_jobs", "_told_until")

    def __init__(self, jobs: Any) -> None:
        self._jobs = jobs
        self._armed_until = 0.0
        self._told_until = 0.0

    def arm(self, loop: AbstractEventLoop) -> None:
        """On the loop: something waits. One timer is enough; a loop that stops takes it along."""
        now = monotonic()
        if now > self._armed_until:
            self._armed_until = now + 2 * REMIND_S
            loop.call_later(REMIND_S, self._remind, loop)

    def _remind(self, loop: AbstractEventLoop) -> None:
        self._armed_until = 0.0
        last, self._told_until = self._told_until, monotonic() - REMIND_S
        for job in self._jobs.copy():
            if last < job.posted_at <= self._told_until:
                remind = getattr(job, "remind", None)
                if remind is not None:
                    remind()
        if self._jobs:
            self.arm(loop)
