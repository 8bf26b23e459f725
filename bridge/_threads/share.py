"""A share of a pool: at most so many of its threads, for one kind of request.

Input: jobs of requests, posted from event loops. Output: the same jobs, posted to the pool, never
more at once than the share has threads. The others wait here, in order, and take no place in the
pool's queue; so the pool's other threads stay free for other requests.

Rule 1. A job has a *place* from when it is posted to the pool until it has run, or was refused
        there. The lock of the line guards the number of places.
Rule 2. A thread that ends a job gives its place to the next one that waits, on that job's own event
        loop: it goes to the end of the pool's queue, behind the requests that are not of the share.
Rule 3. Where a loop is closed, its job is dropped and the place goes to the next.
Rule 4. A job whose thread is written off keeps its place until it ends. Where all places are kept
        in this way, the share is *stuck*.
Rule 5. An open share posts everything at once: the pool is about to end, and runs what it has.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from bridge._threads import process
from bridge._threads.instances import Instances
from bridge._threads.job import Job, JobInPlace
from bridge._threads.loop_inbox import LoopInbox, inbox_of
from bridge._threads.pool import Meter
from bridge._threads.waiting_line import WaitingLine
from bridge.types import PoolStats

__all__ = ["Share"]


class Pool(Protocol):
    """Whose threads they are: a ``WorkerPool`` or a ``BorrowedPool``."""

    def post(self, job: Job, loop: asyncio.AbstractEventLoop) -> None: ...


class Share:
    """At most ``threads`` of the threads of ``pool``.

    :param backlog: the most jobs that may wait here.
    :param wait_target_s: as that of :class:`~bridge.WorkerPool`.
    :param name: begins the messages of errors.
    """

    def __init__(
        self,
        pool: Pool,
        threads: int,
        *,
        backlog: int,
        wait_target_s: float | None,
        name: str,
    ) -> None:
        self.pool = pool
        self.threads = threads
        self.name = name
        self._backlog, self._wait_target_s = backlog, wait_target_s
        self._reset()
        _shares.add(self)

    def _reset(self) -> None:
        self._meter = Meter()
        self._line = WaitingLine(self._backlog, self._wait_target_s, self._meter)
        self._places = 0  # in use
        self._stuck = 0  # of these, of jobs that have been given up
        self._is_open = False
        self._called: set[_Placed] = set()  # with a place, on their way to their loop

    def post(self, job: Job, loop: asyncio.AbstractEventLoop) -> None:
        """Run ``job`` on a thread of the pool. Called on the thread of ``loop``; never blocks.

        :raises PoolSaturated: too many jobs wait, here or in the pool.
        :raises PoolClosed: the pool is shut down.
        """
        placed = _Placed(self, job, loop, inbox_of(loop))
        with self._line.lock:
            has_place = self._is_open or self._places < self.threads
            self._places += has_place
        if has_place:
            placed.post()
            return
        self._free_places_of_closed_loops()
        self._line.add(placed, self.name)
        self._line.reminder.arm(loop)
        self._fill_places()  # one may have become free meanwhile

    @property
    def is_stuck(self) -> bool:
        """Whether jobs that have been given up keep all places. From any thread."""
        return self._stuck >= self.threads

    def count_stuck(self, change: int) -> None:
        """A job with a place has been given up, or has ended after all. From any thread.

        :param change: 1 or -1.
        """
        with self._line.lock:
            self._stuck += change

    def withdraw(self, job: Job) -> None:
        """Take out a job that has waited for too long, if it waits here. Counts it as refused.

        With a place it waits in the pool, where it does nothing when its turn comes.
        """
        with self._line.lock:
            waiting = self._line.queue.copy()
        placed = [each for each in waiting if isinstance(each, _Placed) and each.is_of(job)]
        self._line.withdraw(placed[0] if placed else job)

    def stats(self) -> PoolStats:
        """The current state of the share. From any thread."""
        line = self._line
        with line.lock:
            in_pool = self._places - self._meter.running  # they wait for a thread of the pool
            return self._meter.stats(
                threads=self._places,
                idle=0,
                waiting=len(line.queue) + in_pool,
                max_threads=self.threads,
            )

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Post the jobs that wait, and all that come. On the thread of ``loop``."""
        with self._line.lock:
            self._is_open = True
        self._fill_places(loop)

    def _next(self) -> _Placed | None:
        """The next job that waits, if there is a place for it."""
        line = self._line
        with line.lock:
            if self._places >= self.threads and not self._is_open:
                return None
            job = line.queue.take()
            if not isinstance(job, _Placed):
                return None
            self._places += 1
            self._called.add(job)
            return job

    def _fill_places(self, here: asyncio.AbstractEventLoop | None = None) -> None:
        """Give free places to jobs that wait.

        :param here: the loop of this thread, if this is the thread of a loop.
        """
        while (placed := self._next()) is not None:
            if placed.loop is here:
                placed.post_or_refuse()
            elif placed.loop.is_closed() or not placed.inbox.post(placed.post_or_refuse):
                self._drop(placed)

    def _free_places_of_closed_loops(self) -> None:
        """A loop may end with jobs in its inbox, which never get to the pool: rule 3."""
        with self._line.lock:
            lost = [placed for placed in self._called if placed.loop.is_closed()]
        for placed in lost:
            self._drop(placed)

    def _drop(self, placed: _Placed) -> None:
        if self.arrives(placed):
            with self._line.lock:
                self._places -= 1
            placed.discard()

    # -- called by the jobs ---------------------------------------------------------------------

    def arrives(self, placed: _Placed) -> bool:
        """A job has come to its loop. False: it has been dropped meanwhile."""
        with self._line.lock:
            was_called = placed in self._called
            self._called.discard(placed)
            return was_called

    def start(self, job: Job) -> None:
        """A thread begins with ``job``."""
        with self._line.lock:
            self._meter.start(job)

    def end(self) -> None:
        """A thread has finished with a job."""
        with self._line.lock:
            self._meter.completed += 1
            self._places -= 1
        self._fill_places()

    def free_place(self) -> None:
        """A job will not run."""
        with self._line.lock:
            self._places -= 1
        self._fill_places()


class _Placed(JobInPlace):
    """A job of a share: in its line, or with a place in the pool."""

    __slots__ = ("_has_place", "_share", "inbox", "loop")

    is_request = True

    def __init__(
        self, share: Share, job: Job, loop: asyncio.AbstractEventLoop, inbox: LoopInbox
    ) -> None:
        super().__init__(job)
        self._has_place = False
        self.loop = loop
        self._share = share
        self.inbox = inbox

    def is_of(self, job: Job) -> bool:
        """Whether it is in the place of ``job``."""
        return self._job is job

    def post(self) -> None:
        """On its loop, with a place: post it to the pool."""
        self._has_place = True
        self.posted_at = time.monotonic()  # the wait until then is not the pool's
        try:
            self._share.pool.post(self, self.loop)
        except BaseException:
            self._free_place()
            raise

    def post_or_refuse(self) -> None:
        """The same, for a job that has waited."""
        if not self._share.arrives(self):
            return
        try:
            self.post()
        except Exception as error:  # an executor may raise any
            self._job.refuse(error)

    def run(self) -> None:
        self._share.start(self._job)
        try:
            self._job.run()
        finally:
            self._share.end()

    def discard(self, error: BaseException | None = None) -> None:
        self._job.discard(error)
        self._free_place()

    def refuse(self, error: BaseException) -> None:
        self._job.refuse(error)
        self._free_place()

    def _free_place(self) -> None:
        if self._has_place:
            self._has_place = False
            self._share.free_place()


_shares: Instances[Share] = Instances()


def _forget_places() -> None:
    """In a forked child: the threads that had them are not there."""
    for share in _shares.alive():
        share._reset()


process.in_child(process.Fork.POOLS, _forget_places)
