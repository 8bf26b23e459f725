"""What a pool runs, what it tells about itself, and what an adapter asks of it. Pure.

Shapes, counters and one wrapper; the two pools are :mod:`bridge._threads.pool` and
:mod:`bridge._threads.borrowed`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

__all__ = ["FollowedJob", "Job", "Meter", "Pool", "PoolStats"]


class Job(Protocol):
    """Something a worker thread runs once.

    A job may also have a method ``settle()``: a worker calls it after :meth:`run`, when it is free
    for another. Telling a waiting event loop there, and not at the end of ``run()``, lets the loop
    find this very worker idle for what it posts next, instead of waking another.

    And it may have ``remind()``, called on some event loop's thread when the job has waited for
    long: see :mod:`bridge._threads.reminder`.
    """

    posted_at: float
    """``time.monotonic()`` when it was posted; the pool measures the queue wait by it."""

    def run(self) -> None:
        """Run on a worker thread. Must not raise: nobody is there to catch it."""

    def discard(self) -> None:
        """Called instead of :meth:`run` when the pool is shut down before the job's turn came."""


class FollowedJob:
    """A job, and what to call when a pool is through with it.

    :param on_end: called once, when the job has run or been discarded; on either thread.
    """

    __slots__ = ("_job", "_on_end", "posted_at")

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
        settle = getattr(self._job, "settle", None)
        if settle is not None:
            settle()

    def discard(self) -> None:
        self._job.discard()
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


class Pool(Protocol):
    """What an adapter asks of the threads it runs its app on."""

    def post(self, job: Job, loop: asyncio.AbstractEventLoop) -> None: ...

    def stats(self) -> PoolStats: ...


class Meter:
    """Counts of one thread, or of what many have done. Each has one writer at a time."""

    __slots__ = ("completed", "refused", "started", "wait_max_s", "wait_total_s")

    def __init__(self) -> None:
        self.completed = 0
        self.refused = 0
        self.started = 0
        self.wait_total_s = 0.0
        self.wait_max_s = 0.0

    def start(self, job: Job) -> None:
        wait_s = time.monotonic() - job.posted_at
        self.started += 1
        self.wait_total_s += wait_s
        if wait_s > self.wait_max_s:
            self.wait_max_s = wait_s

    @classmethod
    def total(cls, meters: Iterable[Meter]) -> Meter:
        """What all of them have counted."""
        total = cls()
        for meter in meters:
            total.add(meter)
        return total

    def add(self, other: Meter) -> None:
        """Count what ``other`` has counted."""
        self.completed += other.completed
        self.refused += other.refused
        self.started += other.started
        self.wait_total_s += other.wait_total_s
        self.wait_max_s = max(self.wait_max_s, other.wait_max_s)
