"""A unit of work for a pool, and what pools measure. Pure: the threads are in the pools."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

__all__ = ["Job", "JobWithEnd", "Meter", "PoolStats", "SubmittedCall"]


class Job:
    """Something a worker thread runs once. A pool calls either :meth:`run` or :meth:`discard`.

    :ivar posted_at: ``time.monotonic()`` when it was posted; pools measure the queue wait by it.
    """

    __slots__ = ("posted_at",)

    posted_at: float

    def run(self) -> None:
        """Do the work. On a worker thread; must not raise."""
        raise NotImplementedError

    def settle(self) -> None:
        """Called after :meth:`run`, on the same thread, once it is free for another job.

        A job that notifies an event loop here, and not at the end of :meth:`run`, lets the loop
        find this very thread idle for what it posts next, instead of waking another.
        """

    def remind(self) -> None:
        """Called when the job has waited for long, on the thread of some event loop."""

    def discard(self, error: BaseException | None = None) -> None:
        """Called instead of :meth:`run`: the pool was shut down, or dropped the job.

        :param error: why, where the pool is an executor that reports it.
        """


class SubmittedCall(Job):
    """A submitted callable as a job.

    :ivar future: its outcome. Cancelling it before the job's turn means the callable never runs.
    """

    __slots__ = ("_call", "future")

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self.future: Future[Any] = Future()
        self.posted_at = time.monotonic()

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self._call()
        except BaseException as error:
            self.future.set_exception(error)
            del self  # the exception's traceback holds this frame: break the cycle
        else:
            self.future.set_result(result)

    def discard(self, error: BaseException | None = None) -> None:
        self.future.cancel()


class JobWithEnd(Job):
    """A job, and a callback for when the pool has finished with it.

    :param on_end: called once, after the job has run or been discarded, on the thread that did so.
    """

    __slots__ = ("_job", "_on_end")

    def __init__(self, job: Job, on_end: Callable[[], object]) -> None:
        self._job = job
        self._on_end = on_end
        self.posted_at = job.posted_at

    def run(self) -> None:
        try:
            self._job.run()
        finally:
            self._on_end()

    def settle(self) -> None:
        self._job.settle()

    def remind(self) -> None:
        self._job.remind()

    def discard(self, error: BaseException | None = None) -> None:
        self._job.discard(error)
        self._on_end()


@dataclass(frozen=True, slots=True)
class PoolStats:
    """A pool at one moment. Waits are in seconds and count jobs that have started."""

    threads: int
    idle: int
    running: int
    waiting: int
    completed: int
    refused: int
    wait_total_s: float
    wait_max_s: float


class Meter:
    """Counts of one thread, or of a whole pool. Each has one writer at a time."""

    __slots__ = ("completed", "refused", "started", "wait_max_s", "wait_total_s")

    def __init__(self) -> None:
        self.completed = 0
        self.refused = 0
        self.started = 0
        self.wait_total_s = 0.0
        self.wait_max_s = 0.0

    @property
    def running(self) -> int:
        """Jobs that have started and not ended."""
        return self.started - self.completed

    def start(self, job: Job) -> None:
        """Count ``job`` as started, and how long it has waited."""
        wait_s = time.monotonic() - job.posted_at
        self.started += 1
        self.wait_total_s += wait_s
        if wait_s > self.wait_max_s:
            self.wait_max_s = wait_s

    @classmethod
    def total(cls, meters: Iterable[Meter]) -> Meter:
        """The sum of several meters."""
        total = cls()
        for meter in meters:
            total.add(meter)
        return total

    def add(self, other: Meter) -> None:
        self.completed += other.completed
        self.refused += other.refused
        self.started += other.started
        self.wait_total_s += other.wait_total_s
        self.wait_max_s = max(self.wait_max_s, other.wait_max_s)

    def stats(self, *, threads: int, idle: int, waiting: int) -> PoolStats:
        """These counts with the rest of what a pool knows."""
        return PoolStats(
            threads=threads,
            idle=idle,
            running=self.running,
            waiting=waiting,
            completed=self.completed,
            refused=self.refused,
            wait_total_s=self.wait_total_s,
            wait_max_s=self.wait_max_s,
        )
