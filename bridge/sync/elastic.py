"""A pool that nested calls cannot exhaust.

What enters: jobs, from event loops. What leaves: the same jobs, to the pool's threads.

Sync code on a thread of a pool calls async code (``async_to_sync``), which calls sync code on the
same pool: once every thread waits like that, none is left for what they wait for. asgiref's helpers
stop there for good, with asyncio's executor of ``min(32, cpus + 4)`` threads.

Rule 1. A thread that waits for the code that posts a job does not count, as long as it waits:
        another may run meanwhile. Who waits is known from the context the job is posted in. When
        the job is done, the thread that ran it stops, unless there is room for both. (Only a job
        that runs on when the thread that waited for it has left it behind, cancelled or never
        awaited, can leave both at work: then the next of them to end its job stops.)
Rule 2. Such a job goes first. What has begun ends before anything new begins, so the threads that
        wait are never many more than the pool's size times the depth of the calls.
Rule 3. Twice the pool's size are kept idle for the next time; any other ends.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, ParamSpec, TypeVar

from bridge._threads.job import Job, JobWithEnd, SubmittedCall
from bridge._threads.parking import EventfdParking
from bridge._threads.pool import WorkerPool
from bridge.sync.caller import CallerThread
from bridge.sync.nesting import Waits, frames_waiting

__all__ = ["ElasticPool"]

P = ParamSpec("P")
T = TypeVar("T")


class ElasticPool(WorkerPool):
    """
    :param threads: the most threads that run a job and do not wait for another.
    """

    wakes_at_once = True  # a caller waits for each job
    parking_type = EventfdParking

    def __init__(self, threads: int, *, backlog: int, name: str) -> None:
        self.size = threads
        super().__init__(threads, backlog=backlog, name=name)
        self.most_idle = 2 * threads

    def _reset(self) -> None:
        super()._reset()
        self._waits = Waits()
        self.max_threads = self.size

    def post(self, job: Job, loop: AbstractEventLoop) -> None:
        """As :meth:`WorkerPool.post`, in the context that waits for ``job``."""
        frames = frames_waiting(self._workers)
        if frames:
            self._post_nested(job, frames)
        else:
            super().post(job, loop)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As :meth:`WorkerPool.submit`, in the context that waits for the future, if any does.

        asgiref's ``sync_to_async(executor=...)`` and ``loop.run_in_executor`` come here.
        """
        frames = frames_waiting(self._workers)
        if not frames:
            return super().submit(fn, *args, **kwargs)
        call = SubmittedCall(lambda: fn(*args, **kwargs))
        self._post_nested(call, frames)
        return call.future

    def nested(self, job: Job) -> Job:
        """``job``, which somebody else is going to run, in the context that waits for it.

        :returns: what to run in its place. Threads of this pool that wait for it do not count.
        """
        frames = frames_waiting(self._workers)
        if not frames:
            return job
        nested = self._nested(job, frames)
        self._rouse_for_waiting()
        return nested

    def _post_nested(self, job: Job, frames: Sequence[Any]) -> None:
        nested = self._nested(job, frames)
        try:
            with self._lock:
                self._check_open()
                self._jobs.appendleft(nested)  # it goes first
        except BaseException:
            self._end_wait(frames)
            raise
        self._rouse_for_waiting()

    def _nested(self, job: Job, frames: Sequence[Any]) -> Job:
        with self._lock:
            self._waits.begin(frames)
            self._resize()
        for frame in frames:
            if isinstance(frame, CallerThread):
                frame.call_when_closed(self._on_frame_closed)
        return JobWithEnd(job, partial(self._end_wait, frames))

    def _rouse_for_waiting(self) -> None:
        with self._lock:
            roused = self._claim_for_waiting()
        for worker in roused:
            self._wake_worker(worker)

    def _end_wait(self, frames: Sequence[Any]) -> None:
        with self._lock:
            self._waits.end(frames)
            self._resize()

    def _on_frame_closed(self) -> None:
        with self._lock:
            self._resize()

    def _resize(self) -> None:
        self.max_threads = self.size + self._waits.threads()
        self._crowded = self._busy() > self.max_threads
