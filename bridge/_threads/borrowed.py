"""Adapts a user's executor to the interface of a pool, with a bound on waiting jobs.

Jobs are posted from an event loop and wait in a queue of this module. The executor, which its owner
shuts down, gets a *turn* for each: a thread that has one takes the job that is next by then. Each
job is run, refused or discarded, whatever the executor does with the turns.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any

from bridge._threads.job import Job, drop_error
from bridge._threads.pool import Meter
from bridge._threads.waiting_line import WaitingLine
from bridge.errors import PoolClosed
from bridge.types import PoolStats

__all__ = ["BorrowedPool"]


class BorrowedPool:
    """Posts jobs to a user's executor of threads.

    :param executor: any ``concurrent.futures.Executor`` of threads. Never shut down from here.
    :param backlog: the most jobs posted here that may wait.
    :param wait_target_s: as that of :class:`~bridge.WorkerPool`.
    """

    def __init__(
        self, executor: Executor, *, backlog: int, wait_target_s: float | None = 0.1
    ) -> None:
        self.executor = executor
        self.backlog = backlog
        self._meter = Meter()
        self._line = WaitingLine(backlog, wait_target_s, self._meter)

    def post(self, job: Job, loop: asyncio.AbstractEventLoop) -> None:
        """Run ``job`` on the executor; discard it if the executor drops it.

        :raises PoolSaturated: ``backlog`` jobs posted here wait already, or they wait for too long.
        :raises PoolClosed: the executor is shut down.
        """
        self._line.add(job, self.executor)
        turn = _Turn(self)
        try:
            future = self.executor.submit(turn.take)
        except BaseException as error:  # RuntimeError by the rules; an executor may have others
            turn.is_taken = True  # submit() may raise with the turn in its queue
            with self._line.lock:
                waits = self._line.queue.remove(job)
            if not waits:
                self._discard_next(error)  # another turn has taken the job, and left its own
            elif isinstance(error, RuntimeError):
                raise PoolClosed(f"{self.executor!r} accepts no jobs: {error}") from error
            if waits or not isinstance(error, Exception):
                raise
            return
        future.add_done_callback(partial(self._discard_if_dropped, turn))
        self._line.reminder.arm(loop)

    def withdraw(self, job: Job) -> None:
        """See :meth:`~bridge.WorkerPool.withdraw`."""
        self._line.withdraw(job)

    def _run_next(self) -> None:
        line = self._line
        with line.lock:
            job = line.queue.take()
            if job is None:
                return  # there are more turns than jobs: some were refused in the queue
            self._meter.start(job)
        try:
            job.run()
        finally:
            with line.lock:
                self._meter.completed += 1

    def _discard_if_dropped(self, turn: _Turn, future: Future[Any]) -> None:
        """The executor has finished with the turn. It may have dropped it."""
        if not turn.is_taken:
            self._discard_next(drop_error(future))

    def _discard_next(self, error: BaseException | None) -> None:
        job = self._line.take()
        if job is not None:
            job.discard(error)

    def stats(self) -> PoolStats:
        """The jobs posted here. The executor's threads cannot be counted from outside."""
        line = self._line
        with line.lock:
            running = self._meter.running
            waiting = len(line.queue)
            return self._meter.stats(threads=running, idle=0, waiting=waiting, max_threads=None)


class _Turn:
    """Lets a thread of the executor run one job.

    :ivar is_taken: it has, or it must not any more.
    """

    __slots__ = ("_pool", "is_taken")

    def __init__(self, pool: BorrowedPool) -> None:
        self._pool = pool
        self.is_taken = False

    def take(self) -> None:
        if not self.is_taken:
            self.is_taken = True
            self._pool._run_next()
