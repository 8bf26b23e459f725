"""Jobs that wait outside of a pool's own queue: the queue, its lock, and the counts of its jobs.

For those that pass jobs on to threads of another owner. Any thread; nothing here blocks.
"""

from __future__ import annotations

from bridge._threads.counts import Counts
from bridge._threads.job import Job
from bridge._threads.job_queue import JobQueue
from bridge._threads.locks import RealMutex
from bridge._threads.reminder import Reminder
from bridge.errors import PoolSaturated

__all__ = ["WaitingLine"]


class WaitingLine:
    """A :class:`~bridge._threads.job_queue.JobQueue` for several threads.

    :param backlog: the most jobs that may wait.
    :param wait_target_s: as that of :class:`~bridge.WorkerPool`.
    :param counts: of the jobs that have left the queue for a thread; gets those that are refused.
    :ivar lock: guards ``queue`` and ``counts``; held for a few bytecodes.
    """

    __slots__ = ("_counts", "lock", "queue", "reminder")

    def __init__(self, backlog: int, wait_target_s: float | None, counts: Counts) -> None:
        self.lock = RealMutex()
        self.queue = JobQueue(backlog, wait_target_s)
        self._counts = counts
        self.reminder = Reminder(self.queue)

    def add(self, job: Job, owner: object) -> None:
        """Let a job wait, or refuse it. On the thread of its event loop.

        :param owner: begins the message of the error, as text.
        :raises PoolSaturated: as many wait already as may wait, or they wait for too long.
        """
        dropped: list[Job] = []
        with self.lock:
            queue = self.queue
            has_room = len(queue) < queue.backlog or queue.is_overloaded
            is_admitted = has_room and queue.admit(job, self._progress, dropped)
            if is_admitted and not dropped:
                return
            self._counts.refused += sum(each.is_pending() for each in dropped) + (not is_admitted)
            refusal = PoolSaturated(f"{owner}: {queue}")
        for each in dropped:
            each.refuse(refusal)
        if not is_admitted:
            raise refusal

    def withdraw(self, job: Job) -> None:
        """Take out a job that has waited for too long, if it waits here. Counts it as refused."""
        with self.lock:
            self.queue.remove(job)
            self._counts.refused += 1

    def take(self) -> Job | None:
        """The next job, if there is one."""
        with self.lock:
            return self.queue.take()

    def _progress(self) -> tuple[int, int]:
        return self._counts.completed, self._counts.running
