"""Pools of worker threads, and limits within them, that nested calls cannot exhaust.

Jobs are posted from event loops or submitted from any thread, and run on the pool's threads. There
is one pool of each name per process, made at its first use, never at import.

Sync code on a thread of a pool calls async code (``async_to_sync``), which calls sync code on the
same pool: when every thread waits like that, there is none to run what they wait for. asgiref's
helpers deadlock there, with asyncio's executor of ``min(32, cpus + 4)`` threads. The rules here are
the same for the threads of a pool and for the slots of a limit:

Rule 1. A thread that waits for the code that posts a job does not count while it waits, so one more
        job may run. The threads that wait are known from the context that the job is posted in.
Rule 2. A thread waits from the moment such a job is posted until the job has ended, or the thread
        continues without it, whichever comes first. No thread waits for the jobs of a task that
        outlives the ``async_to_sync`` call it was started in: they are not nested.
Rule 3. Nested jobs go first. What has started ends before anything new starts, so the number of
        waiting threads is never much more than the size of the pool times the depth of the calls.
"""

from __future__ import annotations

import os
import threading
from asyncio import AbstractEventLoop
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from functools import partial
from heapq import heappop, heappush
from itertools import count
from time import monotonic
from typing import Any, ParamSpec, TypeVar

from bridge._threads import process
from bridge._threads.asgiref_state import (
    executors_waiting,
    executors_waiting_on,
    is_waiting,
    thread_of,
)
from bridge._threads.instances import Instances
from bridge._threads.job import Job, JobWithEnd, SubmittedCall, submit_or_discard
from bridge._threads.job_times import recorder_of
from bridge._threads.locks import RealMutex
from bridge._threads.parking import EventfdParking
from bridge._threads.pool import Meter, WorkerPool
from bridge.config import positive_int
from bridge.errors import ConfigError, PoolSaturated
from bridge.sync.calls import Call
from bridge.sync.deadlocks import Occupant, queued
from bridge.sync.waiting_thread import WaitingThread
from bridge.types import PoolStats

__all__ = [
    "ElasticPool",
    "Limit",
    "limit",
    "living_limits",
    "pool",
    "poster_to",
    "reservation_pool",
    "stats",
]

P = ParamSpec("P")
T = TypeVar("T")

BACKLOG = 100_000
"""Calls that may wait for a pool. asgiref has no bound; this one only stops a runaway."""

DEFAULT = "bridge-sync"
RESERVATION = "bridge-iterate"
RESERVATION_THREADS = 128

_lock = RealMutex()
_pools: dict[str, ElasticPool] = {}
_limits: Instances[Limit] = Instances()


# -- which threads wait ----------------------------------------------------------------------------

Waiting = Any
"""The executor of a thread that waits in ``async_to_sync``: a ``WaitingThread``, or asgiref's."""


class _WaitCounter:
    """Counts the threads of a group that wait for jobs of the group. Under the group's lock."""

    __slots__ = ("_executors",)

    def __init__(self) -> None:
        self._executors: Counter[Waiting] = Counter()

    def add(self, executors: Sequence[Waiting]) -> None:
        if executors:
            self._executors.update(executors)

    def remove(self, executors: Sequence[Waiting]) -> None:
        """Call it once for each :meth:`add`."""
        if executors:
            self._executors -= Counter(executors)

    def threads(self) -> int:
        """How many threads wait."""
        if not self._executors:
            return 0
        return len({thread_of(each) for each in self._executors if is_waiting(each)})


# -- pools -----------------------------------------------------------------------------------------


class ElasticPool(WorkerPool):
    """A pool in which a thread that waits for a nested job makes room for another.

    When the nested job ends, its thread stops, unless there is room for both. (Both run on only if
    the waiting thread continues without the job, because it was cancelled or never awaited. Then
    the first of the two to end its job stops.) Up to twice ``threads`` are kept idle for the next
    time; others end.

    :param threads: the most threads that run a job and do not wait for a nested one.
    """

    wakes_at_once = True  # a caller waits for each job
    parking_type = EventfdParking

    def __init__(self, threads: int, *, backlog: int, name: str) -> None:
        self.size = threads
        super().__init__(threads, backlog=backlog, wait_target_s=None, name=name)
        self.most_idle = 2 * threads

    def _reset(self) -> None:
        super()._reset()
        self._waits = _WaitCounter()

    def post(self, job: Job, loop: AbstractEventLoop) -> None:
        """As :meth:`WorkerPool.post`, in the context that waits for ``job``."""
        waiting = executors_waiting()
        if not waiting:  # mostly
            super().post(job, loop)
        elif not self._post_nested(job, waiting):
            with queued(job, self, waiting) as job:
                super().post(job, loop)

    def submit_job(self, job: Job) -> None:
        """As :meth:`WorkerPool.submit_job`, in the context that waits for the job, if any does.

        Called by asgiref's ``sync_to_async(executor=...)`` and ``loop.run_in_executor``.
        """
        waiting = executors_waiting()
        if not waiting:
            super().submit_job(job)
        elif not self._post_nested(job, waiting):
            with queued(job, self, waiting) as job:
                super().submit_job(job)

    def nested(self, job: Job) -> Job:
        """Count ``job`` as nested although another group runs it. In the context that waits for it.

        :returns: the job to run in its place: threads of this pool that wait for it do not count.
        """
        waiting = executors_waiting_on(self._workers)
        if not waiting:
            return job
        nested = self._nested(job, waiting)
        self._wake_for_waiting()
        return nested

    def _post_nested(self, job: Job, executors: Sequence[Waiting]) -> bool:
        """Post ``job`` if threads of this pool are among those that wait for it: rule 1."""
        waiting = [each for each in executors if thread_of(each) in self._workers]
        if not waiting:
            return False
        nested = self._nested(job, waiting)
        try:
            with self._lock:
                self._check_open()
                self._jobs.appendleft(nested)  # rule 3
        except BaseException:
            self._end_wait(waiting)
            raise
        self._wake_for_waiting()
        return True

    def _nested(self, job: Job, waiting: Sequence[Waiting]) -> Job:
        with self._lock:
            self._waits.add(waiting)
            self._resize()
        for executor in waiting:
            if isinstance(executor, WaitingThread):
                executor.call_on_close(self._on_close)
        return JobWithEnd(job, partial(self._end_wait, waiting))

    def _wake_for_waiting(self) -> None:
        with self._lock:
            workers = self._claim_for_waiting()
        for worker in workers:
            self._wake_worker(worker)

    def _end_wait(self, waiting: Sequence[Waiting]) -> None:
        with self._lock:
            self._waits.remove(waiting)
            self._resize()

    def _on_close(self) -> None:
        """A thread that waited continues."""
        with self._lock:
            self._resize()

    def _resize(self) -> None:
        self._limit_to(self.size + self._waits.threads())


def pool(name: str, *, threads: int | None = None, backlog: int | None = None) -> WorkerPool:
    """The pool of this name, made at the first call, for ``executor=`` of the helpers.

    >>> reports = bridge.sync.pool("reports", threads=4)  # doctest: +SKIP
    >>> render = bridge.sync_to_async(render, thread_sensitive=False, executor=reports)

    One pool per purpose keeps slow calls of one kind from delaying the others. Its threads start
    when calls need them and are shared by every event loop of the process. Calls may nest on one
    pool to any depth: a thread that waits in :func:`~bridge.async_to_sync` for a call on its own
    pool does not count. At exit the process waits up to five seconds for calls that still run.

    :param name: the name in :func:`stats`, and the prefix of the thread names.
    :param threads: how many calls may run at once. By default ``min(32, cpus + 4)``, as in
        asyncio's own executor.
    :param backlog: how many calls may wait for a thread; by default 100,000.
    :raises ConfigError: ``threads`` or ``backlog`` is not an int of 1 or more, or differs from the
        value that the existing pool was made with.
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


def _check_same(option: str, requested: int | None, actual: int, name: str) -> None:
    if requested is not None and requested != actual:
        raise ConfigError(
            option, requested, f"{actual}, the value that pool {name!r} was made with"
        )


def _default_pool() -> WorkerPool:
    """Runs calls with ``thread_sensitive=False`` and without ``executor``."""
    found = _pools.get(DEFAULT)
    return pool(DEFAULT) if found is None else found


def reservation_pool() -> WorkerPool:
    """Reserves threads for iterations and managers with ``thread_sensitive=False``.

    Each keeps one thread from beginning to end, so they have a pool of their own: a slow consumer
    must not keep ordinary calls waiting.
    """
    return pool(RESERVATION, threads=RESERVATION_THREADS)


def poster_to(executor: Executor | None) -> Callable[[Call], None]:
    """A function that posts calls to an executor; None is the default pool.

    :raises PoolSaturated: from the returned function: too many calls wait for the pool.
    """
    if executor is None:
        return _post_to_default_pool
    if isinstance(executor, WorkerPool):
        return partial(_post_to_pool, executor)
    if isinstance(executor, Limit):
        return partial(_post_to_limit, executor)
    return partial(_submit_to, executor)


def _post_to_default_pool(call: Call) -> None:
    _post_to_pool(_default_pool(), call)


def _post_to_pool(pool: WorkerPool, call: Call) -> None:
    call.settles = True
    _post(pool, call, call.loop)


def _post(pool: WorkerPool, job: Job, loop: AbstractEventLoop) -> None:
    """Post to a pool that may not be elastic: a thread of such a pool counts while it waits."""
    waiting = () if isinstance(pool, ElasticPool) else executors_waiting()
    if waiting:
        with queued(job, pool, waiting) as job:
            pool.post(job, loop)
    else:
        pool.post(job, loop)


def _post_to_limit(limit: Limit, call: Call) -> None:
    limit.post(call, call.loop)


def _submit_to(executor: Executor, call: Call) -> None:
    submit_or_discard(executor, call.run, call.discard)


# -- limits ----------------------------------------------------------------------------------------

_Place = tuple[int, int, Job]
"""A job that waits for a slot: its nesting depth, negative; a sequence number; the job."""


def limit(n: int, *, executor: WorkerPool | None = None, name: str | None = None) -> Limit:
    """A group of calls of which at most ``n`` run at once, for ``executor=`` of the helpers.

    >>> thumbnails = bridge.sync.limit(2)  # doctest: +SKIP
    >>> shrink = bridge.sync_to_async(shrink, thread_sensitive=False, executor=thumbnails)

    The other calls of the group wait in order, without a thread; calls outside of it are not
    affected. A limit has no threads: it uses those of a pool. It is also a
    ``concurrent.futures.Executor``. A call that waits in :func:`~bridge.async_to_sync` for another
    call of the group does not count while it waits.

    :param n: how many calls may run at the same time.
    :param executor: the pool whose threads run them; by default that of all calls with
        ``thread_sensitive=False``.
    :param name: the name in :func:`stats`; by default ``limit-{n}``.
    :raises ConfigError: ``n`` is not an int of 1 or more.
    :raises PoolSaturated: from a call: 100,000 calls of the group wait, or too many for the pool.
    """
    positive_int("n", n)
    return Limit(n, executor, name or f"limit-{n}")


class Limit(Executor):
    """A share of a pool: at most ``n`` of its threads. Make it with :func:`limit`.

    Rule 4. ``_lock`` guards the fields below it and is never held while foreign code runs.
    Rule 5. A slot that has run its job takes the next one that waits, on the same thread, and is
            released when there is none. So while jobs wait, slots are in use.
    Rule 6. Rules 1 to 3 apply to slots: one more is free for each that waits for a nested job. The
            most deeply nested jobs go first.
    """

    def __init__(self, n: int, executor: WorkerPool | None, name: str) -> None:
        self.n = n
        self.name = name
        self._executor = executor
        self.record = recorder_of(name)
        self._reset()
        _limits.add(self)

    def _reset(self) -> None:
        self._lock = RealMutex()
        self._slots = 0  # in use
        self._threads: set[threading.Thread] = set()
        self._waits = _WaitCounter()
        self._waiting: list[_Place] = []  # a heap
        self._sequence = count()
        self._meter = Meter()

    def post(self, job: Job, loop: AbstractEventLoop) -> None:
        """Run ``job`` in a slot. Called on the thread of ``loop``; never blocks.

        :raises PoolSaturated: too many jobs wait, here or in the pool.
        """
        slot = self._acquire_slot(job)
        if slot is not None:
            self._start_slot(slot, lambda pool: _post(pool, slot, loop))

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run ``fn(*args, **kwargs)`` in a slot. From any thread; never blocks.

        :raises PoolSaturated: too many jobs wait, here or in the pool.
        """
        job = SubmittedCall(partial(fn, *args, **kwargs))
        slot = self._acquire_slot(job)
        if slot is not None:
            self._start_slot(slot, lambda pool: pool.submit_job(slot))
        return job.future

    def stats(self) -> PoolStats:
        """The current state of the group. From any thread."""
        with self._lock:
            meter = self._meter
            in_pool = self._slots - meter.running  # they wait for a thread of the pool
            return meter.stats(
                threads=self._slots,
                idle=0,
                waiting=len(self._waiting) + in_pool,
                max_threads=self._max_slots(),
            )

    @property
    def _pool(self) -> WorkerPool:
        return _default_pool() if self._executor is None else self._executor

    def _acquire_slot(self, job: Job) -> _Slot | None:
        """A free slot for this job. None: the job waits for one."""
        with self._lock:
            if self._slots >= self._max_slots() and len(self._waiting) >= BACKLOG:
                self._meter.refused += 1
                raise PoolSaturated(
                    f"limit {self.name!r}: {self.n} calls run and {BACKLOG} wait for their turn"
                )
        executors = executors_waiting()
        waiting = [each for each in executors if thread_of(each) in self._threads]
        if waiting:
            job = JobWithEnd(job, partial(self._end_wait, waiting))
        pool = self._pool
        if isinstance(pool, ElasticPool):  # a slot may wait there behind a job that waits for it
            job = pool.nested(job)
        if executors and not waiting:
            job = queued(job, self, executors)
        with self._lock:
            self._waits.add(waiting)
            if self._slots < self._max_slots():
                self._slots += 1
                return _Slot(self, job)
            heappush(self._waiting, (-len(waiting), next(self._sequence), job))
            return None

    def occupants(self) -> list[Occupant] | None:
        """What keeps a new job waiting; None if there is a slot. From any thread."""
        with self._lock:
            if self._slots < self._max_slots():
                return None
            occupants: list[Occupant] = list(self._threads)
            if self._slots > len(occupants):  # a slot waits for a thread of the pool
                occupants.append(self._pool)
            return occupants

    def _max_slots(self) -> int:
        return self.n + self._waits.threads()

    def _end_wait(self, waiting: Sequence[Waiting]) -> None:
        with self._lock:
            self._waits.remove(waiting)

    def _start_slot(self, slot: _Slot, start: Callable[[WorkerPool], object]) -> None:
        try:
            start(self._pool)
        except BaseException:
            slot.discard()
            raise

    def _release_unused_slot(self) -> list[Job]:
        """The pool accepts no jobs. Returns the waiting jobs, if no slot is left to run them."""
        with self._lock:
            self._slots -= 1
            if self._slots:
                return []
            lost = [job for _, _, job in sorted(self._waiting)]
            self._waiting.clear()
            return lost

    def _start(self, job: Job) -> None:
        with self._lock:
            self._meter.start(job)

    def _next(self) -> Job | None:
        """The next job for a slot that has run one; None releases the slot."""
        with self._lock:
            self._meter.completed += 1
            if self._waiting and self._slots <= self._max_slots():
                return heappop(self._waiting)[2]
            self._slots -= 1
            return None


class _Slot(Job):
    """A job of the pool that runs jobs of a limit, one after the other."""

    __slots__ = ("_job", "_limit")

    def __init__(self, limit: Limit, job: Job) -> None:
        self._limit = limit
        self._job = job
        self.posted_at = job.posted_at

    def subject(self) -> object:
        return self._job.subject()

    def is_pending(self) -> bool:
        return self._job.is_pending()

    def fail(self, error: BaseException) -> None:
        self._job.fail(error)  # the slot is used for the next job

    def run(self) -> None:
        job: Job | None = self._job
        self._limit._threads.add(threading.current_thread())
        record = self._limit.record
        while job is not None:
            self._job = job
            self._limit._start(job)
            started_at = monotonic()
            job.run()
            if record is not None:
                record((job.posted_at, started_at, monotonic()))
            job = self._limit._next()
        self._limit._threads.discard(threading.current_thread())

    def discard(self, error: BaseException | None = None) -> None:
        """Discard the job, and those that wait for this slot if there is no other."""
        self._job.discard()
        for job in self._limit._release_unused_slot():
            job.discard()


# -- statistics, and fork --------------------------------------------------------------------------


def stats() -> dict[str, PoolStats]:
    """The current state of every :func:`pool` and every :func:`limit`, by name.

    Each value has ``threads``, ``idle``, ``running`` and ``waiting`` (now), ``completed`` and
    ``refused`` (since the start), and ``wait_total_s`` and ``wait_max_s``: how long jobs have
    waited for a thread, in seconds. ``bridge-sync`` is the pool of calls with
    ``thread_sensitive=False`` that name no executor; ``bridge-iterate`` is that of iterations and
    context managers. Both appear at their first use. From any thread.
    """
    with _lock:
        pools = dict(_pools)
    found = {name: pool.stats() for name, pool in pools.items()}
    found.update({limit.name: limit.stats() for limit in _limits.alive()})
    return found


def living_limits() -> list[Limit]:
    """The limits of this process, in no order. From any thread."""
    return _limits.alive()


def _forget_slots() -> None:
    """In a forked child: the threads that used them are not there."""
    global _lock
    _lock = RealMutex()
    for limit in _limits.alive():
        limit._reset()


process.in_child(process.Fork.CALLS, _forget_slots)
