"""The jobs that wait for a thread: in which order they get one, and which are refused.

Pure: it starts no thread, and the time is that at which the newest job was posted.

A queue absorbs a burst. While more requests come than the threads can serve, it makes each of them
wait, and in the order of arrival the threads serve exactly those whose clients are about to leave.
A limit on the number of jobs does not prevent that: how long the last one waits depends on how long
each takes. So the waits are bounded, by a *target*, as in CoDel (RFC 8289):

Rule 1. Jobs are run in the order in which they came. None is refused for its wait, however long a
        burst makes it, until waiting has proved to be in vain.
Rule 2. That is so if the oldest job has waited for longer than the target, and for longer than a
        job takes on its thread, at every moment of ``INTERVAL`` targets, and its client has left by
        then, or it has waited for ``PATIENCE`` targets. The queue is *overloaded* from then on.
Rule 3. In an overload new jobs go first: as many as are served within a target. One more is
        refused, at once.
Rule 4. The jobs that waited before are *late*: they get the threads that new ones leave. One whose
        client has left is dropped. One that has waited for ``PATIENCE`` targets is refused when a
        new one is.
Rule 5. The overload ends when no job is late, and none was refused for an interval.
Rule 6. What a job takes is measured while jobs wait. The target is at least half of that: the
        client of a slow page is patient, and half as many jobs may wait as run.
Rule 7. Only the jobs of requests are refused or late. Code that runs already waits for the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from math import inf

from bridge._threads.job import Job

__all__ = ["JobQueue"]

INTERVAL = 5
PATIENCE = 50
"""In targets: 0.5 and 5 s by default."""

Progress = Callable[[], tuple[int, int]]
"""Returns how many jobs have been completed, and how many run."""


class JobQueue:
    """The jobs of one pool.

    Workers take jobs from ``first`` at any time. Everything else is called under the pool's lock.

    :param backlog: the most jobs that may wait.
    :param target_s: how long a job may wait in an overload, in seconds; None: nothing is an
        overload.
    :ivar first: the jobs that go first, oldest first.
    :ivar late: those that wait until there is none of these.
    :ivar is_overloaded: see rule 2.
    """

    __slots__ = (
        "_completed",
        "_job_s",
        "_limit",
        "_measured_at",
        "_quick_at",
        "_refused_at",
        "_running",
        "_seen_at",
        "_target_s",
        "_wanted_s",
        "backlog",
        "first",
        "is_overloaded",
        "late",
    )

    def __init__(self, backlog: int, target_s: float | None) -> None:
        self.backlog = backlog
        self.first: deque[Job] = deque()
        self.late: deque[Job] = deque()
        self.is_overloaded = False
        self._wanted_s = inf if target_s is None else target_s
        self._target_s = self._wanted_s  # with rule 6
        self._job_s = 0.0  # what a job takes on its thread
        self._limit = 0  # jobs that are served in a target
        self._running = 0  # jobs, when that was measured
        self._seen_at = -inf  # when the last job came that found others waiting
        self._quick_at = -inf  # when the oldest job had last waited for no longer than rule 2 says
        self._measured_at = -inf  # when ``_completed`` was read
        self._completed = 0
        self._refused_at = -inf

    def __len__(self) -> int:
        return len(self.first) + len(self.late)

    def __str__(self) -> str:
        """For messages."""
        target, backlog = f"wait_target_s={self._wanted_s:g}", f"backlog={self.backlog}"
        return f"{len(self)} jobs wait ({target if self.is_overloaded else backlog})"

    def copy(self) -> list[Job]:
        """The jobs of this moment.

        :raises RuntimeError: without the interpreter lock: a thread took one at this moment.
        """
        return [*self.late.copy(), *self.first.copy()]

    def oldest_posted_at(self) -> float | None:
        """When the oldest job was posted; None if there is none."""
        oldest = []
        for jobs in (self.first, self.late):
            with suppress(IndexError):  # empty, or a worker has just taken the last one
                oldest.append(jobs[0].posted_at)
        return min(oldest, default=None)

    def take(self) -> Job | None:
        """The next job, if there is one."""
        for jobs in (self.first, self.late):
            with suppress(IndexError):
                return jobs.popleft()
        return None

    def remove(self, job: Job) -> bool:
        """Take this job out; False if it does not wait any more."""
        for jobs in (self.first, self.late):
            with suppress(ValueError):  # not there, or a worker has just taken it
                jobs.remove(job)
                return True
        return False

    # -- adding ---------------------------------------------------------------------------------

    def is_calm(self, job: Job) -> bool:
        """Whether ``job`` only has to be appended to ``first``. Without the lock."""
        if self.is_overloaded:
            return False
        try:
            oldest = self.first[0].posted_at
        except IndexError:  # a worker has just taken the last one
            return True
        now = job.posted_at
        if now - oldest > self._wanted_s:
            return False
        self._seen_at = self._quick_at = now
        return True

    def admit(self, job: Job, progress: Progress, dropped: list[Job]) -> bool:
        """Add a job; False if it is refused. There is room for it in the backlog, or an overload.

        :param progress: of the threads.
        :param dropped: gets the late jobs that are dropped or refused.
        """
        now = job.posted_at
        if not self.is_overloaded:
            if not self._becomes_overloaded(now, progress):
                self.first.append(job)
                return True
            self._begin_overload(now, progress)
        self._seen_at = now
        while self.late and not self.late[0].is_pending():
            self._drop_oldest(dropped)
        interval_s = INTERVAL * self._target_s
        if not self.late and now - self._refused_at > interval_s:
            self.is_overloaded = False
            self._quick_at = now
        elif job.is_request and not self._has_place(progress):
            if now - self._refused_at > interval_s or self._measure(now, progress):
                self._begin_measuring(now, progress)
            self._refused_at = now
            while self.late and now - self.late[0].posted_at > PATIENCE * self._target_s:
                self._drop_oldest(dropped)
            return False
        if len(self) >= self.backlog and not self._drop_oldest(dropped):
            return False
        self.first.append(job)
        return True

    def _has_place(self, progress: Progress) -> bool:
        """Whether a new job may go first. A thread that is idle will take one of them at once."""
        waiting = len(self.first) - self._limit
        if waiting < 0:
            return True
        _, running = progress()
        return waiting < self._running - running

    def _drop_oldest(self, dropped: list[Job]) -> bool:
        with suppress(IndexError):
            dropped.append(self.late.popleft())
            return True
        return False

    # -- the overload ---------------------------------------------------------------------------

    def _becomes_overloaded(self, now: float, progress: Progress) -> bool:
        try:
            oldest = self.first[0]
        except IndexError:
            return False
        if oldest.posted_at > self._seen_at:  # it found no other waiting
            self._quick_at = oldest.posted_at
        self._seen_at = now
        wait_s = now - oldest.posted_at
        if wait_s <= self._wanted_s:
            self._quick_at = now
            return False
        if self._measured_at <= self._quick_at:
            self._begin_measuring(now, progress)
            return False
        if not self._measure(now, progress):
            return False
        if wait_s <= max(self._target_s, self._job_s):
            self._quick_at = now
            return False
        if now - self._measured_at < INTERVAL * self._target_s:
            return False
        return wait_s > PATIENCE * self._target_s or not oldest.is_pending()

    def _begin_overload(self, now: float, progress: Progress) -> None:
        self.is_overloaded = True
        self._refused_at = now
        self._begin_measuring(now, progress)
        for _ in range(len(self.first)):
            with suppress(IndexError):  # a worker has taken one
                job = self.first.popleft()
                (self.late if job.is_request else self.first).append(job)

    def _begin_measuring(self, now: float, progress: Progress) -> None:
        self._measured_at = now
        self._completed, _ = progress()

    def _measure(self, now: float, progress: Progress) -> bool:
        """How long jobs take: rule 6. False: too few have been completed to say."""
        elapsed_s = now - self._measured_at
        if elapsed_s < INTERVAL * self._wanted_s:
            return False
        completed, running = progress()
        completed -= self._completed
        if completed < max(running, 1):
            return False
        per_s = completed / elapsed_s
        self._limit = max(round(running / 2), int(per_s * self._wanted_s), 1)
        self._target_s = max(self._wanted_s, self._limit / per_s)
        self._job_s = running / per_s
        self._running = running
        return True
