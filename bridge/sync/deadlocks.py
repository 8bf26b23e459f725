"""Groups of threads that wait for each other: the call that has completed the circle fails.

Sync code on a pool of one thread calls async code, which calls sync code on another pool of one
thread, and that does the same the other way round: each keeps the thread that the other needs.

A :class:`Group` is a pool or a limit. Its queue registers each job that sync code waits for, here;
code on any thread posts them, and the group's threads run them.

Rule 1. A job is registered from the moment it is posted until it starts or is discarded. The
        threads that wait for it are those that wait in ``async_to_sync`` for the code that posts
        it, the ones further out included: they are known from its context.
Rule 2. A group is stuck if it is full, and each of its threads waits for a job in the queue of a
        stuck group. Only a new registration can make a group stuck, because a thread that waits for
        nothing registered may go on: so it is enough to look then.
Rule 3. A job on which nobody waits any more, because it was cancelled in the queue, does not count.
        Neither does a thread that has gone on, or runs the body of an ``enter_in_loop``.
Rule 4. A thread may turn out not to wait for a job of a task that it has started, and a wait may
        have a timeout. So a circle has to last for ``CONFIRM_S``.
Rule 5. The circle is broken by an error, not by one more thread: a pool of one is how users let
        calls exclude each other, and the call of a stranger must not run in the middle of another.
        (Calls that a call makes on its own pool are part of it: see :mod:`bridge.sync.pools`.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from threading import Thread
from typing import Any, Protocol, TypeAlias

from bridge._threads import process
from bridge._threads.asgiref_state import is_waiting, thread_of
from bridge._threads.job import Job, JobInPlace
from bridge._threads.locks import RealMutex
from bridge.errors import DeadlockError
from bridge.sync.waiting_thread import WaitingThread

__all__ = ["Group", "Occupant", "QueuedJob", "queued"]


class Group(Protocol):
    """Something with a queue and a bounded number of threads."""

    name: str

    def occupants(self) -> Sequence[Occupant] | None:
        """What keeps it full; None if it has room. From any thread; takes its own lock only."""


Occupant: TypeAlias = Thread | Group
"""A thread that runs a job, or a group in whose queue one waits."""

CONFIRM_S = 2.0

_lock = RealMutex()
_jobs: dict[Thread, set[QueuedJob]] = {}
"""The registered jobs, by the threads that wait for them."""


def queued(job: Job, group: Group, executors: Iterable[Any]) -> QueuedJob:
    """Register a job that is about to be queued, on an event loop. It fails if it never starts.

    :param executors: of the threads that wait for it.
    :returns: the job to queue in its place. As a context manager, it is forgotten after an error.
    """
    waiting = QueuedJob(job, group, tuple(executors))
    with _lock:
        waiting.register()
        stuck = _stuck_with(group)
    loop = asyncio._get_running_loop()
    if stuck and loop is not None:
        loop.call_later(CONFIRM_S, waiting.fail_if_stuck)
    return waiting


class QueuedJob(JobInPlace):
    """A job in the queue of a group, and the threads that wait for it."""

    __slots__ = ("_executors", "group")

    def __init__(self, job: Job, group: Group, executors: tuple[Any, ...]) -> None:
        super().__init__(job)
        self._executors = executors
        self.group = group

    # Under the lock

    def register(self) -> None:
        for thread in self._threads():
            _jobs.setdefault(thread, set()).add(self)

    def unregister(self) -> None:
        for thread in self._threads():
            jobs = _jobs.get(thread)
            if jobs is not None:
                jobs.discard(self)
                if not jobs:
                    del _jobs[thread]

    def _threads(self) -> Iterator[Thread]:
        for executor in self._executors:
            thread = thread_of(executor)
            if thread is not None:
                yield thread

    def keeps(self, thread: Thread) -> bool:
        """Whether ``thread`` still waits for it."""
        return self._job.is_pending() and any(
            thread_of(each) is thread and is_waiting(each) and not _is_paused(each)
            for each in self._executors
        )

    def is_registered(self) -> bool:
        return any(self in _jobs.get(thread, ()) for thread in self._threads())

    # On the loop

    def fail_if_stuck(self) -> None:
        """Fail it if it has not started, and never will."""
        with _lock:
            stuck = _stuck_with(self.group) if self.is_registered() else []
            if stuck:
                self.unregister()
        if stuck and self._job.is_pending():
            others = " and ".join(
                sorted(repr(each.name) for each in stuck if each is not self.group)
            )
            wait = (
                f"wait for calls on {others}, and the other way round" if others else "wait for it"
            )
            self._job.fail(
                DeadlockError(
                    f"this call on {self.group.name!r} would never start: the calls that run there "
                    f"{wait}. Give one of them more threads, or let such calls nest in one order "
                    "only"
                )
            )

    def __enter__(self) -> QueuedJob:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if error is not None:
            with _lock:
                self.unregister()

    # A job

    def run(self) -> None:
        with _lock:
            self.unregister()
        self._job.run()

    def discard(self, error: BaseException | None = None) -> None:
        with _lock:
            self.unregister()
        self._job.discard(error)


def _is_paused(executor: Any) -> bool:
    return isinstance(executor, WaitingThread) and executor.is_paused


# -- under the lock --------------------------------------------------------------------------------


def _stuck_with(group: Group) -> list[Group]:
    """The stuck groups, if ``group`` is one of them."""
    occupants = _full_groups_from(group)
    while occupants:
        freed = [
            each for each, found in occupants.items() if not _all_stuck(found, stuck=occupants)
        ]
        if group in freed:
            break
        if not freed:
            return list(occupants)
        for each in freed:
            del occupants[each]
    return []


def _full_groups_from(group: Group) -> dict[Group, Sequence[Occupant]]:
    """The full groups that ``group`` waits for, directly or not, and itself; empty if it has room.

    Mostly the first thread of the first group waits for nothing.
    """
    full: dict[Group, Sequence[Occupant]] = {}
    to_visit = [group]
    while to_visit:
        each = to_visit.pop()
        if each in full:
            continue
        occupants = each.occupants()
        if occupants is None:
            continue
        if not all(not isinstance(found, Thread) or found in _jobs for found in occupants):
            continue
        full[each] = occupants
        for found in occupants:
            to_visit.extend(_waits_of(found))
    return full


def _waits_of(occupant: Occupant) -> Iterable[Group]:
    """The groups that an occupant waits for."""
    if not isinstance(occupant, Thread):
        return (occupant,)
    return {job.group for job in _jobs.get(occupant, ()) if job.keeps(occupant)}


def _all_stuck(occupants: Sequence[Occupant], *, stuck: dict[Group, Sequence[Occupant]]) -> bool:
    return all(any(group in stuck for group in _waits_of(each)) for each in occupants)


def _forget_jobs() -> None:
    """In a forked child: no thread waits."""
    global _lock
    _lock = RealMutex()
    _jobs.clear()


process.in_child(process.Fork.CALLS, _forget_jobs)
