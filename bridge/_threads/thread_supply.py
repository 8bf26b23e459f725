"""What a pool does where the system has no more threads (``ulimit -u``, a cgroup's ``pids.max``).

It continues with those that it has, and asks for another one a second later, not at every moment in
which one would help. The first failure is logged with its traceback.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from bridge._repeated_log import RepeatedLog

__all__ = ["ThreadSupply"]

repeated = RepeatedLog(logging.getLogger("bridge.pool"))

PAUSE_S = 1.0


class ThreadSupply:
    """Whether the system is asked for another thread. Of one pool."""

    __slots__ = ("_asking_until", "_paused_until")

    def __init__(self) -> None:
        self._paused_until = 0.0
        self._asking_until = 0.0

    def may_ask(self) -> bool:
        """Whether no thread was refused within ``PAUSE_S``."""
        return time.monotonic() >= self._paused_until

    def refused(self, pool: str, threads: int) -> None:
        """The system has refused one. Called while its exception is handled.

        :param pool: the name of the pool.
        :param threads: how many it has.
        """
        self._paused_until = time.monotonic() + PAUSE_S
        repeated.exception(
            "pool %r continues with %d threads: no other can be started", pool, threads
        )

    def ask_later(
        self,
        loop: asyncio.AbstractEventLoop,
        ask: Callable[[asyncio.AbstractEventLoop], object],
    ) -> None:
        """On the loop: call ``ask`` after the pause. One timer is enough; a loop that stops takes
        it along.
        """
        now = time.monotonic()
        if now > self._asking_until:
            self._asking_until = now + 2 * PAUSE_S
            loop.call_later(PAUSE_S, self._ask, loop, ask)

    def _ask(
        self,
        loop: asyncio.AbstractEventLoop,
        ask: Callable[[asyncio.AbstractEventLoop], object],
    ) -> None:
        self._asking_until = 0.0
        ask(loop)
