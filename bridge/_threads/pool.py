"""Worker threads: jobs enter from event loops and other threads, and run here, one per thread.

What enters: a :class:`Job` (through :meth:`WorkerPool.post`, the hot path: no future, no queue
object) or a callable (through :meth:`WorkerPool.submit`, the ``concurrent.futures`` face).
What leaves: nothing. A job tells its own owner when it is done.

Rule 1. ``_lock`` guards every field below it but ``_jobs``, whose ``append`` and ``popleft`` are
        atomic. It is held for a few bytecodes and never while foreign code runs. Whoever goes to
        sleep, ends or wakes somebody looks at ``_jobs`` under the lock.
Rule 2. A worker that ends a job takes the next one itself. Only when there is none does it join
        the end of ``_idle`` and wait at its own gate; the last to go idle is the first to be woken,
        so few threads, and few database connections, stay hot.
Rule 3. Posting wakes nobody: the loop does, once for all the jobs of one turn (``_called``), when
        it is through with that turn; or, where ``calls_at_once``, after each post. It wakes one
        worker, and none while one is still on its way (``_waking``). On one interpreter a second
        thread only helps if the first one blocks. Whether it does shows in how punctual the event
        loop is: see :meth:`WorkerPool._tick`.
Rule 4. While jobs wait and threads are free, a tick is pending on the loop that posted them
        (``_ticking``), so a job never waits for more than a tick behind a worker that blocks.
Rule 5. No more than ``max_threads`` are not idle. Where a subclass lowers that while they run, the
        pool is ``_crowded``: the next to end its job goes idle, whatever waits.
Rule 6. A fork leaves the threads behind. The child starts with an empty pool.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeVar
from weakref import WeakSet, ref

from bridge._threads.job import Job, Meter, PoolStats
from bridge._threads.parking import Gate, LockGate
from bridge._threads.real_threads import RealLock
from bridge._threads.reminder import Reminder
from bridge._threads.submitted import Submitted
from bridge._threads.worker import Worker, pop_job
from bridge.errors import PoolClosed, PoolSaturated

__all__ = ["WorkerPool"]

logger = logging.getLogger("bridge.pool")

P = ParamSpec("P")
T = TypeVar("T")

TICK_S = 0.001
LATE_S = 0.002
EXIT_JOIN_S = 5.0


class WorkerPool(Executor):
    """Worker threads with a bounded backlog; a ``concurrent.futures.Executor``, too.

    Threads start when jobs need them, never at construction, and are named ``{name}-{n}``.

    :param threads: the most threads that ever run at once.
    :param backlog: the most jobs that may wait while every thread is busy.
    :param name: prefix of the thread names, and the pool's name in log lines.
    :cvar calls_at_once: whether each post wakes a worker, instead of the end of the loop's turn.
    :cvar gate_type: what an idle worker waits at.
    """

    calls_at_once = False
    gate_type: Callable[[], Gate] = LockGate

    def __init__(
        self, threads: int = 40, *, backlog: int = 2048, name: str = "bridge-worker"
    ) -> None:
        self.max_threads = threads
        self.most_idle = threads
        self.backlog = backlog
        self.name = name
        self._reset()
        _pools.add(self)

    def __del__(self) -> None:
        # A worker that wakes before this returns still gets the pool from its weak reference, and
        # for that worker this is not called again: only a closed pool lets it end.
        self._closed = True
        for worker in self._idle:
            worker.gate.open()

    def _reset(self) -> None:
        self._lock = RealLock()
        self._jobs: deque[Job] = deque()
        self._idle: list[Worker] = []
        self._workers: dict[Worker, None] = {}
        self._waking = 0
        self._crowded = False
        self._called: asyncio.AbstractEventLoop | None = None
        self._ticking: dict[int, ref[asyncio.AbstractEventLoop]] = {}
        self._reminder = Reminder(self._jobs)
        self._seen_completed = 0
        self._closed = False
        self._on_empty: list[Callable[[], object]] = []
        self._named = 0
        self._past = Meter()  # of the threads that have ended

    # -- entrances ------------------------------------------------------------------------------

    def post(self, job: Job, loop: asyncio.AbstractEventLoop) -> None:
        """Run ``job`` on a worker thread. Called on the thread of ``loop``; never blocks.

        :raises PoolSaturated: every thread is busy and ``backlog`` jobs wait already.
        :raises PoolClosed: the pool is shut down.
        :raises RuntimeError: it has no thread, and none can be started.
        """
        if self._closed or len(self._jobs) >= self.backlog:
            with self._lock:
                self._check_open()
        if not self._workers:
            self._start_first()
        self._jobs.append(job)
        if self.calls_at_once:
            self._call_worker(loop)
        elif self._called is not loop:
            self._called = loop
            loop.call_soon(self._call_worker, loop)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run ``fn(*args, **kwargs)`` on a worker thread. From any thread; never blocks.

        :returns: a future; cancelling it before its turn comes means ``fn`` never starts.
        :raises PoolSaturated: every thread is busy and ``backlog`` jobs wait already.
        :raises PoolClosed: the pool is shut down.
        :raises RuntimeError: it has no thread, and none can be started.
        """
        call = Submitted(lambda: fn(*args, **kwargs))
        if not (self._workers or self._closed):
            self._start_first()
        with self._lock:
            self._check_open()
            self._jobs.append(call)
            worker = self._claim() if len(self._jobs) > self._waking else None
        if worker is not None:
            self._rouse(worker)
        return call.future

    def stats(self) -> PoolStats:
        """How the pool stands right now. From any thread."""
        with self._lock:
            meter = self._total()
            return PoolStats(
                threads=len(self._workers),
                idle=len(self._idle),
                running=meter.started - meter.completed,
                waiting=len(self._jobs),
                completed=meter.completed,
                refused=meter.refused,
                wait_total_s=meter.wait_total_s,
                wait_max_s=meter.wait_max_s,
            )

    # -- leaving --------------------------------------------------------------------------------

    def shutdown(
        self, wait: bool = True, *, cancel_futures: bool = False, timeout_s: float | None = None
    ) -> None:
        """Take no more jobs; let the waiting ones run, then end the threads.

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
        """Take no more jobs, and end each thread once there is nothing left for it. Never blocks.

        :param on_empty: called once when the last thread is about to end, on that thread; at once
            if there is none.
        """
        with self._lock:
            self._closed = True
            dropped = self._take_jobs() if cancel_futures else []
            idle, self._idle = self._idle, []
            empty = not self._workers
            if on_empty is not None and not empty:
                self._on_empty.append(on_empty)
        for job in dropped:
            job.discard()
        for worker in idle:
            worker.gate.open()
        if on_empty is not None and empty:
            on_empty()

    def join(self, timeout_s: float | None = None) -> list[str]:
        """Wait for the threads of a closed pool to end.

        :returns: the names of the threads that are still running after ``timeout_s`` seconds.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._lock:
            workers = [w for w in self._workers if w is not threading.current_thread()]
        for worker in workers:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            worker.join(left)
        return [worker.name for worker in workers if worker.is_alive()]

    # -- under the lock -------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise PoolClosed(f"pool {self.name!r} is shut down and takes no more jobs")
        waiting = len(self._jobs)
        if waiting >= self.backlog and waiting - self._free() >= self.backlog:
            self._past.refused += 1
            raise PoolSaturated(
                f"pool {self.name!r}: all {self.max_threads} threads are busy and "
                f"{waiting} jobs wait (backlog={self.backlog})"
            )

    def _free(self) -> int:
        """How many threads are not running a job: idle, on their way, or not started yet."""
        total = self._total()
        return self.max_threads - (total.started - total.completed)

    def _total(self) -> Meter:
        return Meter.total((self._past, *(worker.meter for worker in self._workers)))

    def _take_jobs(self) -> list[Job]:
        """All that wait, but for what the workers take in the meantime."""
        return list(iter(lambda: pop_job(self._jobs), None))

    def _is_ticking(self, loop: asyncio.AbstractEventLoop) -> bool:
        found = self._ticking.get(id(loop))
        return found is not None and found() is loop

    def _has_spare(self) -> bool:
        return self._busy() < self.max_threads

    def _busy(self) -> int:
        """How many threads are not idle: they run a job, or are on their way to one."""
        return len(self._workers) - len(self._idle)

    def _claim(self) -> Worker | None:
        """The worker to rouse next, counted as on its way; None if all are busy already."""
        if not self._has_spare():
            return None
        if self._idle:
            worker = self._idle.pop()
            worker.waking = True
        else:
            self._named += 1
            worker = Worker(self, f"{self.name}-{self._named}")
            self._workers[worker] = None
        self._waking += 1
        return worker

    # -- outside the lock -----------------------------------------------------------------------

    def _rouse(self, worker: Worker) -> None:
        """
        :raises RuntimeError: the worker is new, cannot be started, and would have been the first.
        """
        if worker.ident is not None:
            worker.gate.open()
            return
        try:
            worker.start()
        except RuntimeError:  # the system has no more threads, or greenlets are in their place
            with self._lock:
                del self._workers[worker]
                self._waking -= 1
                others = len(self._workers)
            if not others:
                raise
            logger.exception("pool %r goes on with %d threads: no more start", self.name, others)

    def _start_first(self) -> None:
        """Before anything waits for it: whoever posts hears of it if no thread can be started."""
        with self._lock:
            worker = None if self._workers else self._claim()
        if worker is not None:
            self._rouse(worker)

    def _call_worker(self, loop: asyncio.AbstractEventLoop) -> None:
        """On the loop, after a turn in which jobs were posted, or after a single post."""
        if self._called is loop:
            self._called = None
        worker = None
        with self._lock:
            waiting = len(self._jobs)
            if waiting and not self._waking:
                worker = self._claim()
            behind = waiting > (worker is not None)
            tick = behind and not self._is_ticking(loop) and self._has_spare()
            if tick:
                self._ticking[id(loop)] = ref(loop)
        if worker is not None:
            self._rouse(worker)
        if behind:
            self._reminder.arm(loop)
        if tick:
            loop.call_later(TICK_S, self._tick, loop, loop.time() + TICK_S)

    def _tick(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        """On the loop: jobs were waiting a moment ago. Does another thread help?

        The tick was asked for ``due``. If it comes on time, the interpreter is free, so the running
        workers must be blocked in I/O: wake more. If it comes late, and jobs were finished in the
        meantime, threads are already queueing for the interpreter: one more would only add to it.
        """
        late = loop.time() - due > LATE_S
        with self._lock:
            ticking = bool(self._jobs) and self._has_spare()
            if not ticking:
                self._ticking.pop(id(loop), None)
            roused: list[Worker] = []
            if ticking and not self._waking and not (late and self._has_progressed()):
                roused = self._claim_for_waiting()
        for worker in roused:
            self._rouse(worker)
        if ticking:
            loop.call_later(TICK_S, self._tick, loop, loop.time() + TICK_S)

    def _has_progressed(self) -> bool:
        """Whether jobs were finished since this was asked the last time."""
        before = self._seen_completed
        self._seen_completed = sum(worker.meter.completed for worker in self._workers)
        return self._seen_completed != before

    def _claim_for_waiting(self) -> list[Worker]:
        """Half of the workers that the waiting jobs could use: 1, 2, 4 ... over a few ticks."""
        wanted = (len(self._jobs) - self._waking + 1) // 2
        claimed = (self._claim() for _ in range(wanted))
        return [worker for worker in claimed if worker is not None]

    def _next(self, worker: Worker) -> Job | None:
        """On a worker thread: the next job; None if it has none, and is idle now, or ends."""
        goodbyes: list[Callable[[], object]] = []
        with self._lock:
            if worker.waking:
                worker.waking = False
                self._waking -= 1
            if self._busy() <= self.max_threads:
                job = pop_job(self._jobs)
                if job is not None:
                    return job
            if self._closed or len(self._idle) >= self.most_idle:
                goodbyes = self._dismiss(worker)
            else:
                self._idle.append(worker)
            self._crowded = self._busy() > self.max_threads
        for goodbye in goodbyes:
            goodbye()
        return None

    def _dismiss(self, worker: Worker) -> list[Callable[[], object]]:
        """Under the lock. Returns what to call if it was the last one."""
        del self._workers[worker]
        self._past.add(worker.meter)
        if self._workers:
            return []
        goodbyes, self._on_empty = self._on_empty, []
        return goodbyes


_pools: WeakSet[WorkerPool] = WeakSet()


def _forget_threads() -> None:
    for pool in list(_pools):
        pool._reset()


def _end_threads() -> None:
    """At exit: let the running jobs end, but not forever."""
    deadline = time.monotonic() + EXIT_JOIN_S
    pools = list(_pools)
    for pool in pools:
        pool.close(cancel_futures=True)
    for pool in pools:
        left = pool.join(max(0.0, deadline - time.monotonic()))
        if left:
            logger.warning(
                "the interpreter exits, and does not wait more than %g s for what runs on %s",
                EXIT_JOIN_S,
                ", ".join(left),
            )


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)
atexit.register(_end_threads)
