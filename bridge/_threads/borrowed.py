"""A user's own executor as a pool: its threads, our bound on what waits.

What enters: jobs, from an event loop. What leaves: the same jobs, submitted to the executor, which
stays its owner's to shut down. Each is run or discarded, whatever the executor does with it.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Executor

from bridge._threads.job import Job, Meter, PoolStats
from bridge._threads.reminder import Reminder
from bridge.errors import PoolClosed, PoolSaturated

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
        self._jobs: set[Job] = set()  # those that wait
        self._meter = Meter()
        self._reminder = Reminder(self._jobs)

    def post(self, job: Job, loop: asyncio.AbstractEventLoop) -> None:
        """Run ``job`` on the executor; discard it if the executor drops it.

        :raises PoolSaturated: ``backlog`` jobs of ours wait in the executor already.
        :raises PoolClosed: the executor is shut down.
        """
        with self._lock:
            waiting = len(self._jobs)
            if waiting >= self.backlog:
                self._meter.refused += 1
                raise PoolSaturated(f"{waiting} jobs wait in {self.executor!r}")
            self._jobs.add(job)
        try:
            future = self.executor.submit(self._run, job)
        except RuntimeError as error:
            self._take(job)
            raise PoolClosed(f"{self.executor!r} takes no more jobs: {error}") from error
        future.add_done_callback(lambda _: self._settle(job))
        self._reminder.arm(loop)

    def _take(self, job: Job) -> bool:
        """False: somebody has taken it already."""
        with self._lock:
            waits = job in self._jobs
            self._jobs.discard(job)
        return waits

    def _run(self, job: Job) -> None:
        with self._lock:
            if job not in self._jobs:  # refused: submit() may raise with the job in its queue
                return
            self._jobs.remove(job)
            self._meter.start(job)
        try:
            job.run()
        finally:
            with self._lock:
                self._meter.completed += 1

    def _settle(self, job: Job) -> None:
        """The executor is through with it. It may have been cancelled, or no thread could start."""
        if self._take(job):
            job.discard()

    def stats(self) -> PoolStats:
        """Our share of the executor right now. Its threads cannot be counted from outside."""
        with self._lock:
            meter = self._meter
            running = meter.started - meter.completed
            return PoolStats(
                threads=running,
                idle=0,
                running=running,
                waiting=len(self._jobs),
                completed=meter.completed,
                refused=meter.refused,
                wait_total_s=meter.wait_total_s,
                wait_max_s=meter.wait_max_s,
            )
