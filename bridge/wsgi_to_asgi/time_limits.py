"""How long a request may wait for a thread, and stay on one without progress.

Input: the requests of an adapter that has ``queue_timeout_s`` or ``request_timeout_s``. Output: an
answer of 503 to one that has waited for too long, and its job never runs; a
:class:`~bridge.errors.RequestTimeout` for one that holds its thread, which is written off.

Rule 1. No request has a timer. While there are any, one sweep of an event loop looks at those of
        that loop, several times within the shorter limit, and at least once a second.
Rule 2. Progress is a byte that the app has read of the request body or written of the response, or
        that the server has taken. So an upload or a download may take any time. It is noticed by
        comparing counts in each sweep, and costs the request nothing. Time in which the loop does
        not run does not count; time in which the app waits for the body counts for
        ``body_timeout_s``.
Rule 3. What is popped from ``waiting`` or ``running`` belongs to whoever has popped it: the thread
        that goes on, or the sweep that gives up. One of the two succeeds.
Rule 4. A thread that is written off takes no other request: it ends when the app returns. Until
        then the app runs as after a disconnect: reads of the body and ``write()`` raise, no further
        chunk is asked for, and ``close()`` is called. A thread that only waits for its client goes
        on in this way at once: it is not written off.
Rule 5. The threads that are written off are replaced as long as the pool allows it. When all the
        others are stuck, too, requests are refused until one returns. So are those of a share all
        of whose places are kept by requests that have been given up.
Rule 6. What the thread has left to the loop, and a file that the server sends, holds no thread of
        the app: neither has a limit.
"""

from __future__ import annotations

import logging
import threading
from asyncio import AbstractEventLoop, get_running_loop
from contextvars import Context
from io import BufferedReader
from time import monotonic
from typing import Any, cast
from weakref import WeakKeyDictionary

from bridge._http.client_text import ClientText
from bridge._repeated_log import RepeatedLog
from bridge._threads.borrowed import BorrowedPool
from bridge._threads.greenlets import real_ident
from bridge._threads.health import degrade
from bridge._threads.job import JobInPlace, ThreadWrittenOff
from bridge._threads.locks import RealMutex
from bridge._threads.pool import WorkerPool
from bridge._threads.restart import check_restart
from bridge._threads.share import Share
from bridge._threads.stacks import thread_stack
from bridge.errors import PoolSaturated, RequestTimeout
from bridge.wsgi_to_asgi.bodies import RequestBody
from bridge.wsgi_to_asgi.thread_side import ThreadSide

__all__ = ["TimeLimits", "TimedRequest"]

logger = logging.getLogger("bridge.wsgi_to_asgi")
repeated = RepeatedLog(logger)

SWEEPS = 8
"""How often a request is looked at within its limit."""
LONGEST_PERIOD_S = 1.0

Pool = WorkerPool | BorrowedPool
"""Whose threads run the requests."""
Queue = Pool | Share
"""Where they wait: for a share of the threads, or for any."""

_nothing: Any = object()


class TimedRequest(JobInPlace):
    """A request with limits, in the place of one without.

    :ivar request: that one.
    :ivar queue: that it is posted to.
    :ivar pool: whose thread runs it.
    :ivar since: ``time.monotonic()`` when progress was last seen, or when the thread took it.
    :ivar seen: how far it was then.
    :ivar ident: of its thread.
    :ivar real_ident: the same, where greenlets have replaced threads.
    :ivar is_lost: its thread is written off. Guarded by the lock of the watch.
    """

    is_request = True

    __slots__ = (
        "_input",
        "_watch",
        "ident",
        "is_lost",
        "pool",
        "queue",
        "real_ident",
        "request",
        "seen",
        "since",
    )

    ident: int
    real_ident: int

    def __init__(self, request: ThreadSide, queue: Queue, watch: _Watch) -> None:
        super().__init__(request)
        self.request = request
        self.queue = queue
        self.pool = cast(Pool, queue.pool) if isinstance(queue, Share) else queue
        self._watch = watch
        body = request.input
        raw = body.raw if isinstance(body, BufferedReader) else None
        self._input = raw if isinstance(raw, RequestBody) else None
        self.seen = (0, 0)
        self.is_lost = False

    def progress(self) -> tuple[int, int]:
        """How many bytes of the request body the app has read, and how many of the response were
        written, and taken by the server, together. From any thread."""
        read = 0 if self._input is None else self._input.taken
        return read, sum(self.request.body.progress())

    @property
    def needs_no_limit(self) -> bool:
        """Whether it is complete, or waits for the rest of the request body, which has a limit of
        its own, or for the server to send a file."""
        request = self.request
        return (
            request.done or request.file is not None or bool(self._input and self._input.is_empty)
        )

    # -- the pool's side: Job -------------------------------------------------------------------

    def run(self) -> None:
        watch = self._watch
        self.ident, self.real_ident = threading.get_ident(), real_ident()
        self.since = self.request.taken_at = monotonic()
        watch.running[self] = None  # first: a sweep that finds it nowhere would be the last one
        if watch.waiting.pop(self, _nothing) is _nothing:  # it is refused
            watch.running.pop(self, None)
            return
        self.request.run()
        if watch.running.pop(self, _nothing) is _nothing:
            watch.leave(self)

    def is_pending(self) -> bool:
        return self.request.refused is None and self.request.is_pending()

    def refuse(self, error: BaseException) -> None:
        self._watch.waiting.pop(self, None)
        self.request.refuse(error)

    def discard(self, error: BaseException | None = None) -> None:
        self._watch.waiting.pop(self, None)
        self.request.discard(error)


class TimeLimits:
    """The limits of one adapter, and its requests on each event loop.

    :raises ConfigError: ``BRIDGE_SUPERVISED`` is wrong.
    """

    def __init__(self, *, queue_s: float | None, request_s: float | None) -> None:
        check_restart()
        self.queue_s = queue_s
        self.request_s = request_s
        shortest_s = min(limit for limit in (queue_s, request_s) if limit is not None)
        self.period_s = min(shortest_s / SWEEPS, LONGEST_PERIOD_S)
        self._watches: WeakKeyDictionary[AbstractEventLoop, _Watch] = WeakKeyDictionary()

    def post(self, queue: Queue, request: ThreadSide, loop: AbstractEventLoop) -> None:
        """Post a request to a pool, or to a share of it. On the loop.

        :raises Exception: as the pool's ``post``.
        """
        watch = self._watches.get(loop)
        if watch is None:
            watch = self._watches[loop] = _Watch(self)
        job = TimedRequest(request, queue, watch)
        watch.waiting[job] = None
        try:
            queue.post(job, loop)
        except BaseException:
            watch.waiting.pop(job, None)
            raise
        if not watch.is_armed:
            watch.arm(loop)


class _Watch:
    """The requests of an adapter on one event loop.

    :ivar waiting: for a thread, oldest first.
    :ivar running: on threads.
    :ivar is_armed: a sweep is pending.
    """

    def __init__(self, limits: TimeLimits) -> None:
        self._limits = limits
        self._lock = RealMutex()
        self._due = 0.0
        self.waiting: dict[TimedRequest, None] = {}
        self.running: dict[TimedRequest, None] = {}
        self.is_armed = False

    # -- on the loop ----------------------------------------------------------------------------

    def arm(self, loop: AbstractEventLoop) -> None:
        """Sweep after a period."""
        self.is_armed = True
        self._due = monotonic() + self._limits.period_s
        loop.call_later(self._limits.period_s, self._sweep, context=Context())

    def _sweep(self) -> None:
        now = monotonic()
        if self._limits.queue_s is not None:
            self._refuse_late(now, self._limits.queue_s)
        if self._limits.request_s is not None:
            self._end_running(now, self._limits.request_s)
            self._refuse_hopeless()
        if self.waiting or self.running:
            self.arm(get_running_loop())
        else:
            self.is_armed = False

    def _refuse_late(self, now: float, limit_s: float) -> None:
        for job in self.waiting.copy():
            wait_s = now - job.posted_at
            if wait_s < limit_s:
                return
            self._refuse(
                job, f"it has waited for a thread for {wait_s:.3g} s (queue_timeout_s={limit_s:g})"
            )

    def _refuse_hopeless(self) -> None:
        """Refuse those that wait for threads all of which are stuck."""
        for job in self.waiting.copy():
            pool, queue = job.pool, job.queue
            if isinstance(pool, WorkerPool) and not pool.max_threads:
                self._refuse(job, f"every thread of pool {pool.name!r} is stuck")
            elif isinstance(queue, Share) and queue.is_stuck:
                self._refuse(job, f"{queue.name}: every one is stuck")

    def _refuse(self, job: TimedRequest, why: str) -> None:
        if self.waiting.pop(job, _nothing) is not _nothing:  # else a thread has just taken it
            job.queue.withdraw(job)
            job.refuse(PoolSaturated(why))

    def _end_running(self, now: float, limit_s: float) -> None:
        blocked_s = now - self._due
        for job in self.running.copy():
            seen = job.progress()
            if seen != job.seen or job.needs_no_limit:
                job.seen, job.since = seen, now
                continue
            if blocked_s > self._limits.period_s:
                job.since += blocked_s
            if now - job.since < limit_s:
                continue
            error = RequestTimeout(limit_s, is_awaited=not job.request.body.disconnected)
            if job.request.body.is_full:
                job.since = now  # it goes on when it is disconnected
                _log_stalled(job, limit_s)
                job.request.body.abort(error)
            elif self._give_up(job, limit_s):
                job.request.body.abort(error)

    def _give_up(self, job: TimedRequest, limit_s: float) -> bool:
        """Write the thread off. False: the job has ended at this very moment."""
        stack = thread_stack(job.real_ident)
        with self._lock:
            if self.running.pop(job, _nothing) is _nothing:
                return False
            job.is_lost = _write_off(job)
            if isinstance(job.queue, Share):
                job.queue.count_stuck(1)
        scope = job.request.scope
        logger.error(
            "%s %s has made no progress on its thread for request_timeout_s=%g. It stands at\n%s",
            ClientText(scope["method"]),
            ClientText(scope["path"]),
            limit_s,
            stack,
        )
        _report(job, limit_s)
        return True

    # -- on the worker thread -------------------------------------------------------------------

    def leave(self, job: TimedRequest) -> None:
        """The app has returned, after the sweep has given the request up.

        :raises ThreadWrittenOff: so has it the thread.
        """
        with self._lock:
            is_lost = job.is_lost
            if isinstance(job.queue, Share):
                job.queue.count_stuck(-1)
        if is_lost:
            raise ThreadWrittenOff


def _write_off(job: TimedRequest) -> bool:
    """
    :returns: False if the thread cannot be written off: it is not one of bridge's.
    """
    if isinstance(job.pool, BorrowedPool):
        return False
    try:
        return job.pool.write_off(job.ident)
    except RuntimeError:  # the system has no more threads
        logger.exception("no thread can be started in the place of one that is stuck")
        return True


def _log_stalled(job: TimedRequest, limit_s: float) -> None:
    repeated.warning(
        "cut the response to %s %s: the client has taken nothing for request_timeout_s=%g",
        ClientText(job.request.scope["method"]),
        ClientText(job.request.scope["path"]),
        limit_s,
    )


def _report(job: TimedRequest, limit_s: float) -> None:
    """Report that nothing replaces the thread, if so."""
    pool = job.pool
    if isinstance(pool, BorrowedPool):
        logger.error("its thread belongs to %r, and cannot be replaced", pool.executor)
    elif pool.lacks_threads:
        degrade(
            f"{pool.stats().lost} threads of pool {pool.name!r} are stuck in requests that took "
            f"longer than request_timeout_s={limit_s:g}, and no more are replaced"
        )
