"""A unit of work for a pool. Pure: the threads are in the pools."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future
from functools import partial
from typing import Any

from bridge._threads.locks import RealLock

__all__ = [
    "Job",
    "JobInPlace",
    "JobWithEnd",
    "SubmittedCall",
    "ThreadWrittenOff",
    "drop_error",
    "submit_or_discard",
]


class ThreadWrittenOff(BaseException):
    """Raised by a job whose thread was written off while it ran: the thread ends."""


class Job:
    """Something a worker thread runs once. A pool calls one of :meth:`run`, :meth:`discard` and
    :meth:`refuse`.

    :ivar posted_at: ``time.monotonic()`` when it was posted; pools measure the queue wait by it.
    :ivar taken_at: the same, when a thread took it.
    :ivar settles: whether :meth:`settle` has anything to do.
    :ivar is_request: whether an overloaded pool may refuse it; see `bridge._threads.job_queue`.
    """

    __slots__ = ("posted_at", "taken_at")

    posted_at: float
    taken_at: float
    settles: bool = False
    is_request: bool = False

    def run(self) -> None:
        """Do the work. On a worker thread; must not raise, except :exc:`ThreadWrittenOff`."""
        raise NotImplementedError

    def settle(self) -> None:
        """Called after :meth:`run`, on the same thread, once it is free for another job.

        A job that notifies an event loop here, and not at the end of :meth:`run`, lets the loop
        find this very thread idle for what it posts next, instead of waking another.
        """

    def remind(self) -> None:
        """Called when the job has waited for long, on the thread of some event loop."""

    def subject(self) -> object:
        """What it runs, for reports: the environ of a request, a callable, or None."""
        return None

    def is_pending(self) -> bool:
        """Whether anything waits for this job to start. Called while it is in a queue."""
        return True

    def fail(self, error: BaseException) -> None:
        """Called while it is in a queue: it would never start. A pool still calls :meth:`run` or
        :meth:`discard` when its turn comes, which has no effect then.
        """
        self.discard(error)

    def discard(self, error: BaseException | None = None) -> None:
        """Called instead of :meth:`run`: the pool was shut down, or dropped the job.

        :param error: why, where the pool is an executor that reports it.
        """

    def refuse(self, error: BaseException) -> None:
        """Called instead of :meth:`run`: the pool is overloaded, or the client has left the queue.

        On the thread of some event loop. Only where :attr:`is_request` is true.
        """
        self.discard(error)


class SubmittedCall(Job):
    """A submitted callable as a job.

    :ivar future: its outcome. Cancelling it before the job's turn means the callable never runs.
    """

    __slots__ = ("_call", "_ticket", "future")

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._ticket = RealLock()  # acquired by the thread that runs it, or that lets it fail
        self.future: Future[Any] = Future()
        self.posted_at = time.monotonic()

    def run(self) -> None:
        if not (self._ticket.acquire(False) and self.future.set_running_or_notify_cancel()):
            return  # failed, or cancelled
        try:
            result = self._call()
        except BaseException as error:
            self.future.set_exception(error)
            del self  # the exception's traceback holds this frame: break the cycle
        else:
            self.future.set_result(result)

    def subject(self) -> object:
        return getattr(self._call, "func", self._call)  # of a partial

    def is_pending(self) -> bool:
        return not self.future.done()

    def fail(self, error: BaseException) -> None:
        if self._ticket.acquire(False) and self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)

    def discard(self, error: BaseException | None = None) -> None:
        self.future.cancel()


class JobInPlace(Job):
    """A job in the place of another: the base of those that do something besides."""

    __slots__ = ("_job", "settles")

    def __init__(self, job: Job) -> None:
        self._job = job
        self.posted_at = job.posted_at
        self.settles = job.settles

    def settle(self) -> None:
        self._job.settle()

    def subject(self) -> object:
        return self._job.subject()

    def remind(self) -> None:
        self._job.remind()

    def is_pending(self) -> bool:
        return self._job.is_pending()

    def fail(self, error: BaseException) -> None:
        self._job.fail(error)


class JobWithEnd(JobInPlace):
    """A job, and a callback for when the pool has finished with it.

    :param on_end: called once, after the job has run or been discarded, on the thread that did so.
    """

    __slots__ = ("_on_end",)

    def __init__(self, job: Job, on_end: Callable[[], object]) -> None:
        super().__init__(job)
        self._on_end = on_end

    def run(self) -> None:
        try:
            self._job.run()
        finally:
            self._on_end()

    def discard(self, error: BaseException | None = None) -> None:
        self._job.discard(error)
        self._on_end()


# -- on an executor that somebody else owns --------------------------------------------------------


def submit_or_discard(
    executor: Executor, run: Callable[[], object], discard: Callable[[BaseException], object]
) -> None:
    """Submit a job to an executor that may drop it. Never blocks.

    :param run: called on the executor's thread.
    :param discard: called instead if the executor is shut down with ``cancel_futures``, or its
        ``initializer`` fails; on any thread, with :func:`drop_error`.
    :raises RuntimeError: the executor accepts no jobs.
    """
    executor.submit(run).add_done_callback(partial(_discard_if_dropped, discard))


def _discard_if_dropped(discard: Callable[[BaseException], object], future: Future[Any]) -> None:
    error = drop_error(future)
    if error is not None:
        discard(error)


def drop_error(future: Future[Any]) -> BaseException | None:
    """Why an executor dropped a job, from the ``future`` that it has completed; None if it ran.

    Code that awaits a cancelled job is cancelled, as with ``loop.run_in_executor``.
    """
    try:
        return future.exception()
    except CancelledError:
        return asyncio.CancelledError()
