"""Adapts a user's executor to the interface of a pool, with a bound on waiting jobs.

Jobs are posted from an event loop and submitted to the executor, which its owner shuts down. Each
job is run or discarded, whatever the executor does with it.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any

from bridge._threads.job import Job, drop_error
from bridge._threads.locks import RealMutex
from bridge._threads.pool import LateJobs, Meter
from bridge.errors import PoolClosed, PoolSaturated
from bridge.types import PoolStats

__all__ = ["BorrowedPool"]


class BorrowedPool:
    """Posts jobs to a user's executor of threads.

    :param executor: any ``concurrent.futures.Executor`` of threads. Never shut down from here.
    :param backlog: the most jobs posted here that may wait in it.
    """

    def __init__(self, executor: Executor, *, backlog: int) -> None:
        self.executor = executor
        self.backlog = backlog
        self._lock = RealMutex()
        self._jobs: set[Job] = set()  # those that wait
        self._meter = Meter()
        self._late_jobs = LateJobs(self._jobs)

    def post(self, job: Job, loop: asyncio.AbstractEventLoop) -> None:
        """Run ``job`` on the executor; discard it if the executor drops it.

        :raises PoolSaturated: ``backlog`` jobs posted here wait in the executor already.
        :raises PoolClosed: the executor is shut down.
        """
        with self._lock:
            waiting = len(self._jobs)
            if waiting >= self.backlog:
                self._meter.refused += 1
                raise PoolSaturated(
                    f"{waiting} jobs wait in {self.executor!r} (backlog={self.backlog})"
                )
            self._jobs.add(job)
        try:
            future = self.executor.submit(self._run, job)
        except RuntimeError as error:
            self._take(job)
            raise PoolClosed(f"{self.executor!r} accepts no jobs: {error}") from error
        future.add_done_callback(partial(self._discard_if_waiting, job))
        self._late_jobs.arm(loop)

    def _take(self, job: Job) -> bool:
        """Claim the job; False if it was claimed already."""
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

    def _discard_if_waiting(self, job: Job, future: Future[Any]) -> None:
        """The executor has finished with the job. It may have dropped it without running it."""
        if self._take(job):
            job.discard(drop_error(future))

    def stats(self) -> PoolStats:
        """The jobs posted here. The executor's threads cannot be counted from outside."""
        with self._lock:
            meter = self._meter
            return meter.stats(threads=meter.running, idle=0, waiting=len(self._jobs))
