"""Worker threads: jobs are posted from event loops and other threads, and run here, one per thread.

A :class:`~bridge._threads.job.Job` is posted with :meth:`WorkerPool.post` (the hot path: no future,
no queue object), a callable with :meth:`WorkerPool.submit` (the ``concurrent.futures`` interface).

Rule 1. ``_lock`` guards every field below it but ``_jobs``, whose ``append`` and ``popleft`` are
        atomic. It is held for a few bytecodes and never while foreign code runs. A thread looks at
        all jobs under the lock before it goes to sleep, ends or wakes another.
Rule 2. A worker that ends a job takes the next one itself. Only when there is none does it join
        the end of ``_idle`` and park; the last to go idle is the first to be woken, so few threads,
        and few database connections, stay hot.
Rule 3. Posting wakes no thread: the loop does, once for all jobs of one turn (``_called``), when
        that turn is over; or, where ``wakes_at_once``, after each post. It wakes one worker, and
        none while one is still on its way (``_waking``). On one interpreter a second thread only
        helps if the first one blocks. Whether it does shows in how punctual the event loop is: see
        :meth:`WorkerPool._tick`.
Rule 4. While jobs wait and threads are free, a tick is pending on the loop that posted them
        (``_ticking``), so a job never waits for more than a tick behind a worker that blocks.
Rule 5. At most ``max_threads`` threads are not idle. Where that is lowered while they run, by a
        subclass or because the event loop is late (`lag_limit`), the pool is ``_crowded``: the next
        to end its job goes idle, even if jobs wait.
Rule 6. A fork leaves the threads behind. The child starts with an empty pool.
Rule 7. Which job is next, and which is refused while more come than the threads can run, is
        decided in `job_queue`. ``_jobs`` is the part of the queue that workers take jobs from
        without the lock. A job that finds it empty, in a pool that is not ``_alert``, is appended
        at once.
Rule 8. A thread that may never end its job can be written off (``_lost``): it ends once its job
        does, which knows that. Another may start in its place; but where more than ``threads`` are
        lost, ``max_threads`` falls for each instead. So there are never more than twice as many.
Rule 9. Where the system has no more threads, the pool continues with those that it has: see
        `thread_supply`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import NamedTuple, ParamSpec, TypeVar
from weakref import ref

from bridge._threads import process
from bridge._threads.counts import Counts
from bridge._threads.instances import Instances
from bridge._threads.job import Job, SubmittedCall, ThreadWrittenOff
from bridge._threads.job_queue import JobQueue
from bridge._threads.job_times import recorder_of
from bridge._threads.lag_limit import LagLimit
from bridge._threads.locks import RealMutex
from bridge._threads.own_threads import OwnThread
from bridge._threads.parking import LockParking, Parking
from bridge._threads.reminder import Reminder
from bridge._threads.thread_supply import ThreadSupply
from bridge.config import optional_positive_number
from bridge.errors import DeadlockError, PoolClosed, PoolSaturated
from bridge.types import PoolStats

__all__ = ["Meter", "RunningJob", "WorkerPool", "living_pools"]

logger = logging.getLogger("bridge.pool")

P = ParamSpec("P")
T = TypeVar("T")

TICK_S = 0.001
LATE_S = 0.002
EXIT_JOIN_S = 5.0


class Meter(Counts):
    """Counts jobs, as they start and end, of one thread or of a whole pool."""

    __slots__ = ()

    def start(self, job: Job) -> None:
        """Count ``job`` as started, and how long it has waited."""
        job.taken_at = now = time.monotonic()
        wait_s = now - job.posted_at
        self.started += 1
        self.wait_total_s += wait_s
        if wait_s > self.wait_max_s:
            self.wait_max_s = wait_s


class RunningJob(NamedTuple):
    """A job that a thread runs.

    :ivar started_at: ``time.monotonic()`` then.
    """

    thread: threading.Thread
    job: Job
    started_at: float


class WorkerPool(Executor):
    """Worker threads with a bounded backlog. A ``concurrent.futures.Executor``.

    Threads start when jobs need them, never at construction, and are named ``{name}-{n}``.

    :param threads: the most threads that ever run at once.
    :param backlog: the most jobs that may wait while every thread is busy.
    :param wait_target_s: how long HTTP requests may wait while more come than the threads can
        serve, in seconds: see :class:`~bridge.WsgiToAsgi`. None: only ``backlog`` bounds the queue.
        Calls that are submitted wait in any case.
    :param loop_lag_target_s: fewer threads run jobs while computing threads make the event loop
        later than this, in seconds: see :class:`~bridge.WsgiToAsgi`. None: always ``threads``.
    :param name: prefix of the thread names, and the pool's name in log lines.
    :ivar record: called with the times of each job that ends; None: nothing. See `job_times`.
    :ivar wakes: how often a thread was woken, or started, for statistics.
    :ivar max_threads: how many threads may run jobs at this moment.
    :cvar wakes_at_once: whether each post wakes a worker, instead of the end of the loop's turn.
    :cvar parking_type: how an idle worker sleeps.
    """

    wakes_at_once = False
    parking_type: Callable[[], Parking] = LockParking

    def __init__(
        self,
        threads: int = 40,
        *,
        backlog: int = 2048,
        wait_target_s: float | None = 0.1,
        loop_lag_target_s: float | None = None,
        name: str = "bridge-worker",
    ) -> None:
        optional_positive_number("wait_target_s", wait_target_s)
        optional_positive_number("loop_lag_target_s", loop_lag_target_s)
        self.threads = threads
        self.most_idle = threads
        self.loop_lag_target_s = loop_lag_target_s
        self.backlog = backlog
        self.wait_target_s = wait_target_s
        self.name = name
        self.record = recorder_of(name)
        self._reset()
        _pools.add(self)

    def __del__(self) -> None:
        # A worker that wakes before this returns still gets the pool from its weak reference, and
        # for that worker this is not called again: only a closed pool lets it end.
        self._closed = True
        for worker in getattr(self, "_idle", ()):  # none yet where an argument is wrong
            worker.parking.unpark()

    def _reset(self) -> None:
        self._lock = RealMutex()
        self.max_threads = self._allowed = self.threads
        lag_target_s = self.loop_lag_target_s
        self._lag = None if lag_target_s is None else LagLimit(self.threads, lag_target_s)
        self._queue = JobQueue(self.backlog, self.wait_target_s)
        self._jobs, self._late = self._queue.first, self._queue.late
        self._alert = False  # closed or overloaded
        self._idle: list[_Worker] = []
        self._workers: dict[_Worker, None] = {}
        self._ending: list[_Worker] = []  # of a closed pool: no longer in it, but maybe alive
        self._lost: set[_Worker] = set()  # written off, and still alive
        self._waking = 0
        self._crowded = False
        self._called: asyncio.AbstractEventLoop | None = None
        self._ticking: dict[int, ref[asyncio.AbstractEventLoop]] = {}
        self._reminder = Reminder(self._queue)
        self._seen_completed = 0
        self._closed = False
        self._supply = ThreadSupply()
        self._on_empty: list[Callable[[], object]] = []
        self._named = 0
        self._past = Meter()  # of the threads that have ended
        self.wakes = 0

    # -- posting --------------------------------------------------------------------------------

    def post(self, job: Job, loop: asyncio.AbstractEventLoop) -> None:
        """Run ``job`` on a worker thread. Called on the thread of ``loop``; never blocks.

        :raises PoolSaturated: every thread is busy and ``backlog`` jobs wait already; or the pool
            is overloaded and the job is an HTTP request; or the pool has no thread, and none can be
            started, which is a ``RuntimeError`` as well.
        :raises PoolClosed: the pool is shut down.
        """
        if self._jobs or self._alert:
            self._admit(job)
        else:
            if not self._workers:
                self._start_first()
            self._jobs.append(job)
        if self.wakes_at_once:
            self._wake_for_posted(loop)
        elif self._called is not loop:
            self._called = loop
            loop.call_soon(self._wake_for_posted, loop)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run ``fn(*args, **kwargs)`` on a worker thread. From any thread; never blocks.

        :returns: a future; cancelling it before its turn comes means ``fn`` never starts.
        :raises PoolSaturated: every thread is busy and ``backlog`` jobs wait already; or the pool
            has no thread, and none can be started, which is a ``RuntimeError`` as well.
        :raises PoolClosed: the pool is shut down.
        """
        call = SubmittedCall(partial(fn, *args, **kwargs))
        self.submit_job(call)
        return call.future

    def submit_job(self, job: Job) -> None:
        """Run ``job`` on a worker thread. From any thread; never blocks.

        :raises Exception: as :meth:`submit`.
        """
        self._admit(job)
        with self._lock:
            worker = self._claim() if len(self._queue) > self._waking else None
        if worker is not None:
            self._wake_worker(worker)

    def stats(self) -> PoolStats:
        """The current state of the pool. From any thread."""
        with self._lock:
            return self._total().stats(
                threads=len(self._workers),
                idle=len(self._idle),
                waiting=len(self._queue),
                lost=len(self._lost),
                max_threads=self.max_threads,
                loop_lag_s=None if self._lag is None else self._lag.lag_s,
            )

    def running(self) -> list[RunningJob]:
        """The jobs that run at this moment. From any thread."""
        with self._lock:
            workers = list(self._workers)
        found = ((worker, worker.job, worker.meter) for worker in workers)
        return [
            RunningJob(worker, job, job.taken_at)
            for worker, job, meter in found
            if job is not None and meter.running
        ]

    def oldest_posted_at(self) -> float | None:
        """When the oldest job that waits was posted; None if none waits. From any thread."""
        with self._lock:
            return self._queue.oldest_posted_at()

    def busy(self) -> int:
        """How many threads run a job, or are on their way to one. From any thread."""
        with self._lock:
            return self._busy()

    def limit_threads(self, threads: int, loop: asyncio.AbstractEventLoop) -> None:
        """Run jobs on ``threads`` threads from now on. On the thread of ``loop``, which posts them.

        Where more run at this moment, they stop as they end their jobs.
        """
        with self._lock:
            self._allowed = threads
            self._limit_to(self._left_to_run())
            may_run_more = self._has_spare() and bool(self._queue)
        if may_run_more:
            self._wake_for_posted(loop)

    def occupants(self) -> list[threading.Thread] | None:
        """The threads that keep a new job waiting; None if there is room. From any thread."""
        with self._lock:
            if self._has_spare():
                return None
            idle = set(self._idle)
            return [worker for worker in self._workers if worker not in idle]

    # -- jobs that take too long ------------------------------------------------------------------

    @property
    def lacks_threads(self) -> bool:
        """Whether more threads are written off than are replaced. From any thread."""
        return len(self._lost) > self.threads

    def withdraw(self, job: Job) -> None:
        """Take out a job that has waited for too long, if it waits here. Counts it as refused."""
        with self._lock:
            self._queue.remove(job)
            self._past.refused += 1

    def write_off(self, ident: int) -> bool:
        """Stop counting a thread that may never end its job: rule 8.

        Its job counts as completed, and has to raise :exc:`ThreadWrittenOff` when it ends.

        :param ident: of the thread.
        :returns: False if it is none of this pool.
        """
        with self._lock:
            found = [worker for worker in self._workers if worker.ident == ident]
            if not found:
                return False
            worker = found[0]
            callbacks = self._remove(worker)
            self._past.completed += 1
            self._lost.add(worker)
            if self.lacks_threads:
                self._limit_to(self._left_to_run())
            successor = self._claim() if len(self._queue) > self._waking else None
        for callback in callbacks:
            callback()
        if successor is not None:
            self._wake_worker(successor)
        return True

    # -- shutdown -------------------------------------------------------------------------------

    def shutdown(
        self, wait: bool = True, *, cancel_futures: bool = False, timeout_s: float | None = None
    ) -> None:
        """Accept no more jobs; run the waiting ones, then end the threads.

        :param wait: join the threads before returning. A worker that calls this is not joined.
        :param cancel_futures: discard the jobs that wait instead of running them.
        :param timeout_s: the longest to wait, in seconds; None waits for as long as jobs run.
        """
        self.close(cancel_futures=cancel_futures)
        if wait:
            self.join(timeout_s)

    def close(
        self, on_empty: Callable[[], object] | None = None, *, cancel_futures: bool = False
    ) -> None:
        """Accept no more jobs, and end each thread when it has none left. Never blocks.

        :param on_empty: called once when the last thread is about to end, on that thread; at once
            if there is none.
        """
        with self._lock:
            self._closed = self._alert = True
            dropped = self._take_jobs() if cancel_futures else []
            idle, self._idle = self._idle, []
            empty = not self._workers
            if on_empty is not None and not empty:
                self._on_empty.append(on_empty)
        for job in dropped:
            job.discard()
        for worker in idle:
            worker.parking.unpark()
        if on_empty is not None and empty:
            on_empty()

    def join(self, timeout_s: float | None = None) -> list[str]:
        """Wait for the threads of a closed pool to end.

        :returns: the names of the threads that are still running after ``timeout_s`` seconds.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._lock:
            here = threading.current_thread()
            workers = [each for each in (*self._workers, *self._ending) if each is not here]
        for worker in workers:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            worker.join(left)
        return [worker.name for worker in workers if worker.is_alive()]

    # -- under the lock -------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise PoolClosed(f"pool {self.name!r} is shut down and accepts no jobs")
        waiting = len(self._queue)
        if waiting >= self.backlog and waiting - self._free() >= self.backlog:
            self._past.refused += 1
            raise self._saturated()

    def _saturated(self) -> PoolSaturated:
        return PoolSaturated(
            f"pool {self.name!r}: all {self.max_threads} threads are busy and {self._queue}"
        )

    def _progress(self) -> tuple[int, int]:
        """How many jobs have been completed, and how many run."""
        total = self._total()
        return total.completed, total.running

    def _free(self) -> int:
        """How many threads are not running a job: idle, on their way, or not started yet."""
        return self.max_threads - self._total().running

    def _total(self) -> Counts:
        return Counts.total((self._past, *(worker.meter for worker in self._workers)))

    def _take_jobs(self) -> list[Job]:
        """All jobs that wait, except those that workers take in the meantime."""
        return list(iter(self._queue.take, None))

    def _is_ticking(self, loop: asyncio.AbstractEventLoop) -> bool:
        found = self._ticking.get(id(loop))
        return found is not None and found() is loop

    def _has_spare(self) -> bool:
        return self._busy() < self.max_threads

    def _busy(self) -> int:
        """How many threads are not idle: they run a job, or are on their way to one."""
        return len(self._workers) - len(self._idle)

    def _left_to_run(self) -> int:
        """How many threads may run jobs: those that are allowed, without those not replaced."""
        return max(self._allowed - max(len(self._lost) - self.threads, 0), 0)

    def _limit_to(self, threads: int) -> None:
        self.max_threads = threads
        self._crowded = self._busy() > threads

    def _claim(self) -> _Worker | None:
        """The worker to wake next, counted as on its way; None if there is none to wake."""
        if not self._has_spare():
            return None
        if self._idle:
            worker = self._idle.pop()
            worker.waking = True
        elif not self._supply.may_ask():
            return None
        else:
            self._named += 1
            worker = _Worker(self, f"{self.name}-{self._named}")
            self._workers[worker] = None
        self._waking += 1
        return worker

    # -- outside the lock -----------------------------------------------------------------------

    def _wake_worker(self, worker: _Worker) -> None:
        """
        :raises PoolSaturated: the worker is new, cannot be started, and would have been the first.
        """
        self.wakes += 1
        if not worker.is_new:
            worker.parking.unpark()
            return
        worker.is_new = False
        try:
            worker.start()
        except RuntimeError as error:  # the system has no more threads
            with self._lock:
                del self._workers[worker]
                self._waking -= 1
                others = len(self._workers)
            if isinstance(error, DeadlockError):
                raise
            if not others:
                raise _NoThread(
                    f"pool {self.name!r} has no thread, and none can be started: {error}"
                ) from error
            self._supply.refused(self.name, others)

    def _admit(self, job: Job) -> None:
        """Queue a job that finds others waiting, or refuse it. On the thread that posts it.

        :raises Exception: as :meth:`post`.
        """
        if not (self._workers or self._closed):
            self._start_first()
        queue = self._queue
        if not self._alert and len(self._jobs) < self.backlog and queue.is_calm(job):
            self._jobs.append(job)
            return
        dropped: list[Job] = []
        with self._lock:
            if self._closed or not queue.is_overloaded:
                self._check_open()
            is_admitted = queue.admit(job, self._progress, dropped)
            self._alert = queue.is_overloaded
            if is_admitted and not dropped:
                return
            refusal = self._saturated()
            self._past.refused += sum(each.is_pending() for each in dropped) + (not is_admitted)
        for each in dropped:
            each.refuse(refusal)
        if not is_admitted:
            raise refusal

    def _start_first(self) -> None:
        """Start a thread before the first job waits: an error is raised to the code that posts."""
        with self._lock:
            worker = None if self._workers else self._claim()
        if worker is not None:
            self._wake_worker(worker)

    def _wake_for_posted(self, loop: asyncio.AbstractEventLoop) -> None:
        """On the loop, after a turn in which jobs were posted, or after a single post."""
        if self._called is loop:
            self._called = None
        if self._lag is not None:
            self._lag.arm(self, loop)
        worker = None
        with self._lock:
            waiting = len(self._jobs) + len(self._late)
            if waiting and not self._waking:
                worker = self._claim()
            behind = waiting > (worker is not None)
            tick = behind and not self._is_ticking(loop) and self._has_spare()
            if tick:
                self._ticking[id(loop)] = ref(loop)
        if worker is not None:
            self._wake_worker(worker)
        if behind:
            self._reminder.arm(loop)
        if tick:
            loop.call_later(TICK_S, self._tick, loop, loop.time() + TICK_S)

    def _tick(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        """On the loop: jobs were waiting a moment ago. Does another thread help?

        The tick was scheduled for ``due``. If it runs on time, the interpreter is free, so the
        running workers must be blocked in I/O: wake more. If it runs late, and jobs were finished
        in the meantime, threads already queue for the interpreter: one more would only add to it.
        """
        late = loop.time() - due > LATE_S
        with self._lock:
            wanted = bool(self._queue) and self._has_spare()
            ticking = wanted and (bool(self._idle) or self._supply.may_ask())
            if not ticking:
                self._ticking.pop(id(loop), None)
            woken: list[_Worker] = []
            if ticking and not self._waking and not (late and self._has_progressed()):
                woken = self._claim_for_waiting()
        for worker in woken:
            self._wake_worker(worker)
        if ticking:
            loop.call_later(TICK_S, self._tick, loop, loop.time() + TICK_S)
        elif wanted:
            self._supply.ask_later(loop, self._wake_for_posted)

    def _has_progressed(self) -> bool:
        """Whether jobs were finished since the last call."""
        before = self._seen_completed
        self._seen_completed = sum(worker.meter.completed for worker in self._workers)
        return self._seen_completed != before

    def _claim_for_waiting(self) -> list[_Worker]:
        """Half of the workers that the waiting jobs could use: 1, 2, 4 ... over a few ticks."""
        wanted = (len(self._queue) - self._waking + 1) // 2
        claimed = (self._claim() for _ in range(wanted))
        return [worker for worker in claimed if worker is not None]

    def _next(self, worker: _Worker) -> Job | None:
        """On a worker thread: the next job; None if it has none, and is idle now, or ends."""
        callbacks: list[Callable[[], object]] = []
        with self._lock:
            if worker.waking:
                worker.waking = False
                self._waking -= 1
            if self._busy() <= self.max_threads:
                job = _pop(self._jobs)
                if job is None and self._late:
                    job = _pop(self._late)
                if job is not None:
                    return job
            if self._closed or len(self._idle) >= self.most_idle:
                callbacks = self._remove(worker)
                if self._closed:
                    self._ending.append(worker)
            else:
                self._idle.append(worker)
            self._limit_to(self.max_threads)
        for callback in callbacks:
            callback()
        return None

    def _remove(self, worker: _Worker) -> list[Callable[[], object]]:
        """Under the lock. Returns what to call if this was the last worker."""
        del self._workers[worker]
        self._past.add(worker.meter)
        if self._workers:
            return []
        callbacks, self._on_empty = self._on_empty, []
        return callbacks

    def _end_lost(self, worker: _Worker) -> None:
        """On a worker thread that was written off: its job has ended. Another may run for it."""
        with self._lock:
            lacked = self.lacks_threads
            self._lost.discard(worker)
            if lacked:
                self._limit_to(self._left_to_run())
            successor = self._claim() if len(self._queue) > self._waking else None
        if successor is not None:
            try:
                self._wake_worker(successor)
            except RuntimeError:  # the system has no more threads
                logger.exception("no thread can be started for the jobs that wait")


class _NoThread(PoolSaturated, RuntimeError):
    """The first thread of a pool cannot be started."""


class _Worker(OwnThread):
    """One thread of a pool, which parks while it is idle.

    An idle worker refers to its pool weakly, so a pool that is dropped takes its threads with it.
    """

    def __init__(self, pool: WorkerPool, name: str) -> None:
        # A daemon, because a job stuck in foreign code must not keep the interpreter from exiting.
        super().__init__(name=name, daemon=True)
        self.pool = ref(pool)
        self.parking = pool.parking_type()
        self.meter = Meter()
        self.job: Job | None = None  # that it runs
        self.is_new = True  # not started yet
        self.waking = True  # on its way to a job; guarded by the pool's lock

    def run(self) -> None:
        pool = self.pool()
        while pool is not None and self._run_jobs(pool):
            del pool
            self.parking.park()
            pool = self.pool()

    def _run_jobs(self, pool: WorkerPool) -> bool:
        """Run jobs while there are any; False once this thread has to end."""
        jobs, meter, record = pool._jobs, self.meter, pool.record
        job = pool._next(self)
        while job is not None:
            self.job = job
            meter.start(job)
            try:
                job.run()
            except ThreadWrittenOff:
                pool._end_lost(self)
                if job.settles:
                    job.settle()
                return False
            except BaseException:
                logger.exception("a job of pool %r raised; its thread continues", pool.name)
            meter.completed += 1
            if record is not None:
                record((job.posted_at, job.taken_at, time.monotonic()))
            ended = job
            job = None if pool._crowded else _pop(jobs)
            if job is None:
                job = pool._next(self)
            if ended.settles:
                ended.settle()
            del ended
        self.job = None  # an idle thread must not keep the last request alive
        return self in pool._workers


def _pop(jobs: deque[Job]) -> Job | None:
    """The next job, if there is one; another worker may take it at the same time."""
    try:
        return jobs.popleft() if jobs else None
    except IndexError:
        return None


_pools: Instances[WorkerPool] = Instances()


def living_pools() -> list[WorkerPool]:
    """The pools of this process, in no order. From any thread."""
    return _pools.alive()


def _forget_threads() -> None:
    for pool in _pools.alive():
        pool._reset()


def _end_threads() -> None:
    """At exit: wait for the running jobs, for a bounded time."""
    deadline = time.monotonic() + EXIT_JOIN_S
    pools = _pools.alive()
    for pool in pools:
        pool.close(cancel_futures=True)
    for pool in pools:
        running = pool.join(max(0.0, deadline - time.monotonic()))
        if running:
            logger.warning(
                "the interpreter exits while jobs still run on %s: waited %g s for them",
                ", ".join(running),
                EXIT_JOIN_S,
            )


process.in_child(process.Fork.POOLS, _forget_threads)
process.at_exit(process.Exit.POOLS, _end_threads)
