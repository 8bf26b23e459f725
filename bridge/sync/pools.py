"""Named pools of worker threads, one of each name per process, and limits within them.

What enters: calls, from event loops. What leaves: the same calls, to the pool's threads. A pool is
made at its first use, never at import.
"""

from __future__ import annotations

import os
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import Any, ParamSpec, TypeVar
from weakref import WeakSet

from bridge._threads import process
from bridge._threads.job import Job, JobWithEnd, SubmittedCall, submit_or_discard
from bridge._threads.pool import WorkerPool
from bridge._threads.real_threads import RealLock
from bridge.config import positive_int
from bridge.errors import ConfigError, PoolSaturated
from bridge.sync.elastic import ElasticPool
from bridge.sync.nesting import Waits, frames_waiting
from bridge.types import PoolStats

__all__ = ["Limit", "default_pool", "iteration_pool", "limit", "pool", "stats"]

P = ParamSpec("P")
T = TypeVar("T")

_Place = tuple[int, int, Job]
"""Of a job that waits for a turn: how deep it is nested, negative; the order; the job."""

BACKLOG = 100_000
"""Calls that may wait for a pool. asgiref has no bound; this one only stops a runaway."""

DEFAULT = "bridge-sync"
ITERATION = "bridge-iterate"
ITERATION_THREADS = 128

_lock = RealLock()
_pools: dict[str, ElasticPool] = {}
_limits: WeakSet[Limit] = WeakSet()


def pool(name: str, *, threads: int | None = None, backlog: int | None = None) -> WorkerPool:
    """The pool of this name, made at the first call, for one purpose: ``executor=pool("pdf")``.

    :param name: also the prefix of its threads' names.
    :param threads: the most that run at once, not counting those that wait in ``async_to_sync``
        for a call on this same pool. By default as many as asyncio's own executor has:
        ``min(32, cpus + 4)``.
    :param backlog: the most calls that may wait.
    :raises ConfigError: the pool exists, with another number of threads or backlog.
    """
    with _lock:
        found = _pools.get(name)
        if found is None:
            made = _make(name, threads, backlog)
            _pools[name] = made
            return made
    _check_same("threads", threads, found.size, name)
    _check_same("backlog", backlog, found.backlog, name)
    return found


def _make(name: str, threads: int | None, backlog: int | None) -> ElasticPool:
    threads = min(32, (os.cpu_count() or 1) + 4) if threads is None else threads
    backlog = BACKLOG if backlog is None else backlog
    positive_int("threads", threads)
    positive_int("backlog", backlog)
    return ElasticPool(threads, backlog=backlog, name=name)


def _check_same(option: str, asked: int | None, given: int, name: str) -> None:
    if asked is not None and asked != given:
        raise ConfigError(option, asked, f"{given}, with which pool {name!r} was made")


def default_pool() -> WorkerPool:
    """Where ``thread_sensitive=False`` calls run when they name no executor."""
    found = _pools.get(DEFAULT)
    return pool(DEFAULT) if found is None else found


def iteration_pool() -> WorkerPool:
    """Where iterations and context managers with ``thread_sensitive=False`` have their threads.

    Each keeps one from beginning to end, so they get a pool of their own: a consumer that is slow
    must not keep ordinary calls waiting.
    """
    return pool(ITERATION, threads=ITERATION_THREADS)


def limit(n: int, *, executor: WorkerPool | None = None, name: str | None = None) -> Limit:
    """At most ``n`` calls of a group at once; the others wait in their order.

    >>> thumbnails = bridge.sync.limit(2)  # doctest: +SKIP
    >>> shrink = bridge.sync_to_async(shrink, thread_sensitive=False, executor=thumbnails)

    :param n: how many may run at the same time.
    :param executor: the pool whose threads they run on; by default the bridge's own.
    :param name: for :func:`stats`.
    :raises ConfigError: ``n`` is not an int of 1 or more.
    """
    positive_int("n", n)
    return Limit(n, executor, name or f"limit-{n}")


class Limit(Executor):
    """A share of a pool: at most ``n`` of its threads. Make it with :func:`limit`.

    Rule 1. ``_lock`` guards the fields below it and is never held while foreign code runs.
    Rule 2. A turn that has run its job takes the next that waits, on the same thread. It gives the
            thread back when there is none. So while jobs wait, a turn is being taken.
    Rule 3. A turn whose thread waits for calls of the same group (:mod:`bridge.sync.nesting`) does
            not count meanwhile: one more may be taken. The deepest of those calls go first.
    """

    def __init__(self, n: int, executor: WorkerPool | None, name: str) -> None:
        self.n = n
        self.name = name
        self._given = executor
        self._reset()
        _limits.add(self)

    def _reset(self) -> None:
        self._lock = RealLock()
        self._taken = 0
        self._taken_by: set[threading.Thread] = set()
        self._waits = Waits()
        self._waiting: list[_Place] = []  # a heap
        self._places = count()
        self._completed = 0
        self._refused = 0
        self._wait_total_s = 0.0
        self._wait_max_s = 0.0

    def post(self, job: Job, loop: AbstractEventLoop) -> None:
        """Run ``job`` in its turn. Called on the thread of ``loop``; never blocks.

        :raises PoolSaturated: too many jobs wait, here or in the pool.
        """
        turn = self._take_turn(job)
        if turn is not None:
            self._go(turn, lambda pool: pool.post(turn, loop))

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run ``fn(*args, **kwargs)`` in its turn. From any thread; never blocks.

        :raises PoolSaturated: too many jobs wait, here or in the pool.
        """
        job = SubmittedCall(lambda: fn(*args, **kwargs))
        turn = self._take_turn(job)
        if turn is not None:
            self._go(turn, lambda pool: submit_or_discard(pool, turn.run, turn.discard))
        return job.future

    def stats(self) -> PoolStats:
        """How the group stands right now. From any thread."""
        with self._lock:
            return PoolStats(
                threads=self._taken,
                idle=0,
                running=self._taken,
                waiting=len(self._waiting),
                completed=self._completed,
                refused=self._refused,
                wait_total_s=self._wait_total_s,
                wait_max_s=self._wait_max_s,
            )

    @property
    def _pool(self) -> WorkerPool:
        return default_pool() if self._given is None else self._given

    def _take_turn(self, job: Job) -> _Turn | None:
        """A turn that is free now, for this job. None: it waits for one."""
        with self._lock:
            if self._taken >= self._most() and len(self._waiting) >= BACKLOG:
                self._refused += 1
                raise PoolSaturated(
                    f"limit {self.name!r}: {self.n} calls run and {BACKLOG} wait for their turn"
                )
        frames = frames_waiting(self._taken_by)
        if frames:
            job = JobWithEnd(job, partial(self._end_wait, frames))
        pool = self._pool
        if isinstance(pool, ElasticPool):  # a turn may wait there behind the one that waits for it
            job = pool.nested(job)
        with self._lock:
            self._waits.begin(frames)
            if self._taken < self._most():
                self._taken += 1
                return _Turn(self, job)
            heappush(self._waiting, (-len(frames), next(self._places), job))
            return None

    def _most(self) -> int:
        return self.n + self._waits.threads()

    def _end_wait(self, frames: Sequence[Any]) -> None:
        with self._lock:
            self._waits.end(frames)

    def _go(self, turn: _Turn, start: Callable[[WorkerPool], object]) -> None:
        try:
            start(self._pool)
        except BaseException:
            turn.discard()
            raise

    def _give_up_turn(self) -> list[Job]:
        """The pool takes no more. Returns the jobs that nobody would ever run."""
        with self._lock:
            self._taken -= 1
            if self._taken:
                return []
            lost = [job for _, _, job in sorted(self._waiting)]
            self._waiting.clear()
            return lost

    def _start(self, job: Job) -> None:
        wait_s = time.monotonic() - job.posted_at
        with self._lock:
            self._wait_total_s += wait_s
            self._wait_max_s = max(self._wait_max_s, wait_s)

    def _next(self) -> Job | None:
        with self._lock:
            self._completed += 1
            if self._waiting and self._taken <= self._most():
                return heappop(self._waiting)[2]
            self._taken -= 1
            return None


class _Turn(Job):
    """A job of the pool that runs jobs of a limit, one after the other."""

    __slots__ = ("_job", "_limit")

    def __init__(self, limit: Limit, job: Job) -> None:
        self._limit = limit
        self._job = job
        self.posted_at = job.posted_at

    def run(self) -> None:
        job: Job | None = self._job
        self._limit._taken_by.add(threading.current_thread())
        while job is not None:
            self._limit._start(job)
            job.run()
            job = self._limit._next()
        self._limit._taken_by.discard(threading.current_thread())

    def discard(self, error: BaseException | None = None) -> None:
        """The pool was shut down: so are the jobs that wait for this turn."""
        self._job.discard(error)
        for job in self._limit._give_up_turn():
            job.discard(error)


def stats() -> dict[str, PoolStats]:
    """Every pool of :func:`pool` by its name, ``bridge-sync`` among them, and every limit."""
    with _lock:
        pools = dict(_pools)
    found = {name: pool.stats() for name, pool in pools.items()}
    found.update({limit.name: limit.stats() for limit in list(_limits)})
    return found


def _forget_turns() -> None:
    """In a forked child: the threads that had a turn stayed with the parent."""
    global _lock
    _lock = RealLock()
    for limit in list(_limits):
        limit._reset()


process.in_child(process.Fork.CALLS, _forget_turns)
