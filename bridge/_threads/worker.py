"""One thread of a :class:`~bridge._threads.pool.WorkerPool`.

What enters: jobs, taken from the pool's queue. What leaves: nothing. All of :meth:`Worker.run` is
on the thread itself; ``waking`` is the pool's, and guarded by its lock.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING
from weakref import ref

from bridge._threads.job import Job, Meter
from bridge._threads.real_threads import NativeThread

if TYPE_CHECKING:
    from bridge._threads.pool import WorkerPool

__all__ = ["Worker", "pop_job"]

logger = logging.getLogger("bridge.pool")


class Worker(NativeThread):
    """One thread of a pool, and the gate it waits at while idle.

    An idle worker refers to its pool weakly, so a pool that is dropped takes its threads with it.
    """

    def __init__(self, pool: WorkerPool, name: str) -> None:
        # A daemon, because a job stuck in foreign code must not keep the interpreter from exiting.
        super().__init__(name=name, daemon=True)
        self.pool = ref(pool)
        self.gate = pool.gate_type()
        self.meter = Meter()
        self.waking = True

    def run(self) -> None:
        pool = self.pool()
        while pool is not None and self._run_jobs(pool):
            del pool
            self.gate.wait()
            pool = self.pool()

    def _run_jobs(self, pool: WorkerPool) -> bool:
        """Run jobs while there are any; False once this thread shall end."""
        jobs, meter = pool._jobs, self.meter
        job = pool._next(self)
        while job is not None:
            meter.start(job)
            try:
                job.run()
            except BaseException:
                logger.exception("a job of pool %r raised; its thread goes on", pool.name)
            meter.completed += 1
            settle = getattr(job, "settle", None)
            job = None if pool._crowded else pop_job(jobs)
            if job is None:
                job = pool._next(self)
            if settle is not None:
                settle()
            del settle  # an idle thread must not keep the last request alive
        return self in pool._workers


def pop_job(jobs: deque[Job]) -> Job | None:
    """The next job, if there is one; another worker may take it at the same time."""
    try:
        return jobs.popleft() if jobs else None
    except IndexError:
        return None
