"""A pool that nested calls cannot exhaust.

What enters: jobs, from event loops. What leaves: the same jobs, to the pool's threads.

Sync code on a thread of a pool calls async code (``async_to_sync``), which calls sync code on the
same pool: once every thread waits like that, none is left for what they wait for. asgiref's helpers
stop there for good, with asyncio's executor of ``min(32, cpus + 4)`` threads.

Rule 1. A thread that waits for the code that posts a job does not count, until that job is done:
        another may run meanwhile. Who waits is known from the context the job is posted in. When
        the job is done, the thread that ran it stops, unless there is room for both. (Only a call
        that is cancelled can leave both at work: the function that nobody waits for goes on.)
Rule 2. Such a job goes first. What has begun ends before anything new begins, so the threads that
        wait are never many more than the pool's size times the depth of the calls.
Rule 3. Twice the pool's size are kept idle for the next time; any other ends.
"""

from __future__ import annotations

import threading
from asyncio import AbstractEventLoop
from collections import Counter
from collections.abc import Container
from typing import Any

from bridge.gate import QuickGate
from bridge.jobs import Job
from bridge.pool import WorkerPool
from bridge.sync.sensitive import waiting_caller

__all__ = ["ElasticPool", "waiting_threads"]


def waiting_threads() -> list[threading.Thread]:
    """The threads that wait in ``async_to_sync``, ours or asgiref's, for this code."""
    threads = []
    caller: Any = waiting_caller()
    while caller is not None:
        threads.append(caller._work_thread)
        caller = getattr(caller, "_old_executor", None)  # asgiref >= 3.9
    return threads


class ElasticPool(WorkerPool):
    """
    :param threads: the most threads that run a job and do not wait for another.
    """

    calls_at_once = True  # a caller waits for each job
    gate_type = QuickGate

    def __init__(self, threads: int, *, backlog: int, name: str) -> None:
        self.size = threads
        super().__init__(threads, backlog=backlog, name=name)
        self.most_idle = 2 * threads

    def _reset(self) -> None:
        super()._reset()
        self._waiting_workers: Counter[threading.Thread] = Counter()
        self.max_threads = self.size

    def post(self, job: Job, loop: AbstractEventLoop) -> None:
        """As :meth:`WorkerPool.post`, in the context that waits for ``job``."""
        if waiting_caller() is None:  # as mostly
            super().post(job, loop)
            return
        known: Container[threading.Thread] = self._workers
        workers = [thread for thread in waiting_threads() if thread in known]
        if not workers:
            super().post(job, loop)
            return
        nested = _Nested(self, job, workers)
        with self._lock:
            self._check_open()
            self._jobs.appendleft(nested)  # it goes first
            self._waiting_workers.update(workers)
            self._resize()
            worker = self._claim()
        if worker is not None:
            self._rouse(worker)

    def _end_wait(self, workers: list[threading.Thread]) -> None:
        with self._lock:
            self._waiting_workers -= Counter(workers)
            self._resize()

    def _resize(self) -> None:
        self.max_threads = self.size + len(self._waiting_workers)
        self._crowded = self._busy() > self.max_threads


class _Nested:
    """A job that threads of its own pool wait for."""

    __slots__ = ("_job", "_pool", "_workers", "posted_at")

    def __init__(self, pool: ElasticPool, job: Job, workers: list[threading.Thread]) -> None:
        self._pool = pool
        self._job = job
        self._workers = workers
        self.posted_at = job.posted_at

    def run(self) -> None:
        try:
            self._job.run()
        finally:
            self._pool._end_wait(self._workers)

    def settle(self) -> None:
        settle = getattr(self._job, "settle", None)
        if settle is not None:
            settle()

    def discard(self) -> None:
        self._job.discard()
        self._pool._end_wait(self._workers)
