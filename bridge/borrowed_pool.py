"""A user's own executor as a pool: its threads, our bound on what waits.

What enters: jobs, from an event loop. What leaves: the same jobs, submitted to the executor, which
stays its owner's to shut down.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Executor

from bridge.errors import PoolClosed, PoolSaturated
from bridge.jobs import Job, Meter, PoolStats

__all__ = ["BorrowedPool"]


class BorrowedPool:
    """A user's own executor as a :class:`Pool`: its threads, our bound on what waits.

    :param executor: any ``concurrent.futures.Executor`` of threads. Never shut down from here.
    :param backlog: the most jobs that may wait in it for us.
    """

    def __init__(self, executor: Executor, *, backlog: int) -> None:
        self.executor = executor
        self.backlog = backlog
        self._lock = threading.Lock()
        self._waiting = 0
        self._meter = Meter()

    def post(self, job: Job, loop: asyncio.AbstractEventLoop) -> None:
        """Run ``job`` on the executor.

        :raises PoolSaturated: ``backlog`` jobs of ours wait in the executor already.
        :raises PoolClosed: the executor is shut down.
        """
        with self._lock:
            if self._waiting >= self.backlog:
                self._meter.refused += 1
                raise PoolSaturated(f"{self._waiting} jobs wait in {self.executor!r}")
            self._waiting += 1
        try:
            self.executor.submit(self._run, job)
        except RuntimeError as error:
            with self._lock:
                self._waiting -= 1
            raise PoolClosed(f"{self.executor!r} takes no more jobs: {error}") from error

    def _run(self, job: Job) -> None:
        with self._lock:
            self._waiting -= 1
            self._meter.start(job)
        try:
            job.run()
        finally:
            with self._lock:
                self._meter.completed += 1

    def stats(self) -> PoolStats:
        """Our share of the executor right now. Its threads cannot be counted from outside."""
        with self._lock:
            meter = self._meter
            running = meter.started - meter.completed
            return PoolStats(
                threads=running,
                idle=0,
                running=running,
                waiting=self._waiting,
                completed=meter.completed,
                refused=meter.refused,
                wait_total_s=meter.wait_total_s,
                wait_max_s=meter.wait_max_s,
            )
