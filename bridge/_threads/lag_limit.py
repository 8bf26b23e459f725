"""Fewer threads while they make the event loop late: an adaptive limit for one pool.

Python runs one thread at a time, and a thread that computes gives the interpreter up after 5 ms
(``sys.getswitchinterval()``). The event loop waits for each thread in front of it, at every step,
so eight computing threads make it 40 ms late, and WebSockets and async views with it. They compute
nothing faster than one thread would.

Rule 1. While the pool runs jobs, the loop measures every ``PERIOD_S`` how late it is. Where no job
        runs, nothing is measured.
Rule 2. A limit is decided on for each ``WINDOW_S``, from the mean of its samples. Threads are to
        blame only if they *compute*: if they have used the CPU for a fifth of the window, which may
        be all that a container gets, and longer than the loop's own thread has. A loop that blocks
        itself does not cost the pool a thread.
Rule 3. Later than the target: the loop waits for each computing thread in turn, so as many remain
        as fit into the target, and always one. Jobs are not interrupted; their threads stop when
        they have ended.
Rule 4. Earlier than half of the target: one more. Where the threads do not compute, twice as many:
        they wait for something else, and each of them may be needed. Late without threads that
        compute: one more, too, because fewer would not help.
"""

from __future__ import annotations

import asyncio
import threading
import time
from contextvars import Context
from typing import Protocol
from weakref import ref

__all__ = ["LagLimit", "Window"]

PERIOD_S = 0.02
WINDOW_S = 0.1
COMPUTING = 0.2


class Pool(Protocol):
    """What is limited: a :class:`~bridge.WorkerPool`."""

    max_threads: int

    def busy(self) -> int:
        """How many threads are not idle."""

    def limit_threads(self, threads: int, loop: asyncio.AbstractEventLoop) -> None:
        """Run jobs on that many threads from now on. On the loop."""


class Window:
    """What was measured in one window. Pure.

    :ivar lag_s: the mean of the samples.
    :ivar computing: for which part of the window threads have computed, if they are to blame.
    """

    __slots__ = ("computing", "lag_s")

    def __init__(
        self, lags_s: list[float], elapsed_s: float, process_cpu_s: float, loop_cpu_s: float
    ) -> None:
        self.lag_s = sum(lags_s) / len(lags_s)
        threads_cpu_s = process_cpu_s - loop_cpu_s
        blamed = threads_cpu_s > loop_cpu_s
        self.computing = threads_cpu_s / elapsed_s if blamed else 0.0

    def limit(self, now: int, busy: int, most: int, target_s: float) -> int:
        """How many threads may run from now on: rules 3 and 4.

        :param now: how many may run at this moment.
        :param busy: how many do.
        :param most: as the user has set it.
        """
        is_late = self.lag_s > target_s
        computes = self.computing >= COMPUTING
        if is_late and computes:
            running = min(now, busy)
            return max(1, min(running - 1, int(running * target_s / self.lag_s)))
        if is_late or (computes and self.lag_s < target_s / 2):
            return min(most, now + 1)
        return now if computes else min(most, 2 * now)


class LagLimit:
    """Measures an event loop, and limits the pool that posts from it.

    A pool that is used from several loops at once is limited for the one that posted first.

    :param threads: the most that may run.
    :param target_s: how late the loop may be on average, in seconds.
    :ivar lag_s: of the last window; None while nothing is measured.
    """

    __slots__ = ("_began", "_lags_s", "_loop", "_target_s", "_thread", "_threads", "lag_s")

    def __init__(self, threads: int, target_s: float) -> None:
        self._threads = threads
        self._target_s = target_s
        self._loop: ref[asyncio.AbstractEventLoop] | None = None  # that is measured
        self._lags_s: list[float] = []
        self._began = (0.0, 0.0, 0.0)  # of the window: time, CPU of the process, and of the loop
        self._thread = 0  # of that loop
        self.lag_s: float | None = None

    def arm(self, pool: Pool, loop: asyncio.AbstractEventLoop) -> None:
        """On the loop: jobs were posted from it. Measure it for as long as jobs run."""
        measured = None if self._loop is None else self._loop()
        if measured is not None and not measured.is_closed():
            return
        self._loop = ref(loop)
        idle_s = time.monotonic() - self._began[0]
        # A short pause is a part of the window; the CPU time is that of this thread
        if idle_s >= WINDOW_S or self._thread != threading.get_ident():
            regained = pool.max_threads + int(idle_s / WINDOW_S)  # a pause is time on time
            if pool.max_threads < self._threads:
                pool.limit_threads(min(self._threads, regained), loop)
            self._begin_window()
        self._measure_later(pool, loop)

    def _measure_later(self, pool: Pool, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + PERIOD_S
        loop.call_at(due, self._measure, pool, loop, due, context=Context())

    def _measure(self, pool: Pool, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._lags_s.append(max(0.0, loop.time() - due))
        elapsed_s = time.monotonic() - self._began[0]
        if elapsed_s >= WINDOW_S:
            _, process_s, loop_s = self._began
            lags_s = self._lags_s
            self._begin_window()
            _, process_now_s, loop_now_s = self._began
            window = Window(lags_s, elapsed_s, process_now_s - process_s, loop_now_s - loop_s)
            self.lag_s = window.lag_s
            limit = window.limit(pool.max_threads, pool.busy(), self._threads, self._target_s)
            if limit != pool.max_threads:
                pool.limit_threads(limit, loop)
        if pool.busy():
            self._measure_later(pool, loop)
        else:
            self._loop = self.lag_s = None

    def _begin_window(self) -> None:
        self._began = (time.monotonic(), time.process_time(), time.thread_time())
        self._thread = threading.get_ident()
        self._lags_s = []
