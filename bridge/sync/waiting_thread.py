"""A thread that waits for a coroutine, and meanwhile runs the sync code sent back to it.

Jobs are posted from the event loop that runs the coroutine. They run on the thread that made the
:class:`WaitingThread`, while it is in :meth:`WaitingThread.run_jobs`.

asgiref's ``sync_to_async`` finds this executor in ``AsyncToSync.executors.current`` and submits to
it; an executor of asgiref's that is closed appends its items to the one further out. So this is a
``CurrentThreadExecutor`` with asgiref's attributes under asgiref's names: ``_work_thread``,
``_work_items``, ``_work_ready``, ``_broken`` and ``_old_executor``.

Rule 1. The lock of ``_work_ready`` guards ``_work_items``, ``_broken`` and the two flags below it,
        and is never held while foreign code runs.
Rule 2. It closes (``_broken``), under that lock, when the coroutine has ended and no job waits. A
        later job is refused, and the code that posts it tries the executor further out.
Rule 3. While the thread does something else and the coroutine continues (in the body of an entered
        manager, between two items of an iteration), it is *paused*. It still accepts jobs, because
        they belong to this thread: the next executor of ours that the thread serves runs them, too.
        An executor of asgiref's does not know of them, so it gets a job that runs them. The thread
        may enter one at any time: as long as jobs wait, they are looked after from time to time.
"""

from __future__ import annotations

import asyncio
import threading
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from bridge._threads.asgiref_state import (
    CurrentThreadExecutor,
    executor_served_by,
    executor_that_runs,
    isolated,
)
from bridge._threads.instances import Instances
from bridge._threads.job import Job, SubmittedCall
from bridge._threads.locks import RealMutex
from bridge.errors import DeadlockError

__all__ = ["OWN_THREAD", "WaitingThread"]

OWN_THREAD = (
    "this event loop runs on the very thread that its thread-sensitive sync code would have to run "
    "on. Run the loop on another thread, or await sync_to_async(..., thread_sensitive=False)"
)

P = ParamSpec("P")
T = TypeVar("T")

LOOK_AFTER_S = 0.05


# No lock: a thread adds only executors of its own, and a finalizer anywhere only removes one. Weak:
# a manager or an iteration may be dropped without being closed, and its thread may have ended.
_paused: WeakKeyDictionary[threading.Thread, Instances[WaitingThread]] = WeakKeyDictionary()


class _Condition:
    """A condition with one waiter, whose lock for waiting is made once and not for each wait.

    :ivar delegate: notified together with this one, which belongs to a paused executor: the
        condition of the executor that runs its jobs.
    :ivar has_delegated_job: a paused executor that delegates to this one has got a job.

    Rule. ``_wakeup`` is locked, under ``lock``, before each wait (:meth:`prepare`). A notifier that
    finds ``_is_waited_for`` clears it and unlocks ``_wakeup``. So the state that one wait leaves
    behind, however it ended, cannot affect the next: a signal handler may raise at any moment.
    """

    __slots__ = (
        "__enter__",
        "__exit__",
        "_is_waited_for",
        "_wakeup",
        "delegate",
        "has_delegated_job",
        "lock",
    )

    def __init__(self) -> None:
        self.lock = lock = RealMutex()
        self.__enter__, self.__exit__ = lock.__enter__, lock.__exit__  # asgiref enters it
        self._wakeup = threading.Lock()  # the waiting thread may be a greenlet
        self._is_waited_for = False
        self.has_delegated_job = False
        self.delegate: _Condition | None = None

    def notify(self) -> None:
        """Under the lock."""
        if self._is_waited_for:
            self._is_waited_for = False
            self._wakeup.release()
        if self.delegate is not None:
            with self.delegate.lock:  # it is being served, so it has no delegate itself
                self.delegate.has_delegated_job = True
                self.delegate.notify()

    def prepare(self) -> None:
        """Under the lock: a :meth:`notify` from now on ends the next :meth:`wait`."""
        self._wakeup.acquire(False)
        self._is_waited_for = True

    def wait(self, timeout_s: float) -> bool:
        """Not under the lock. Returns False if nothing was notified in that time."""
        return self._wakeup.acquire(timeout=timeout_s)


class WaitingThread(CurrentThreadExecutor):
    """A thread during one ``async_to_sync`` call. The thread may have others, nested or paused.

    :param outer: the executor of the thread that waits further out, ours or asgiref's.
    :ivar is_paused: the thread does something else meanwhile: rule 3.
    """

    _work_items: deque[Any]
    _work_ready: Any
    _old_executor: Any

    def __init__(self, outer: Any = None) -> None:
        # Not super().__init__(): it takes an argument only since asgiref 3.9.
        self._work_thread = threading.current_thread()
        self._work_ready = ready = _Condition()
        self._work_items = deque()
        self._broken = False
        self._old_executor = outer
        self._lock = ready.lock
        self._is_notified = False
        self._has_ended = False
        self.is_paused = False
        self._is_looked_after = False
        self._close_callbacks: set[Callable[[], object]] | None = None

    @property
    def outer(self) -> Any:
        """The executor of the thread that waits further out, or None."""
        return self._old_executor

    # -- from the loop's thread -----------------------------------------------------------------

    def post(self, job: Job) -> bool:
        """Run ``job`` on the waiting thread. Never blocks.

        :returns: False if the thread no longer waits.
        :raises DeadlockError: called on that very thread.
        """
        with self._lock:
            if self._broken:
                return False
            if threading.current_thread() is self._work_thread:
                raise DeadlockError(OWN_THREAD)
            self._work_items.append(job)
            self._work_ready.notify()
            is_paused = self.is_paused
        if is_paused:
            self._call_thread(executor_that_runs(self._work_thread))
            if not self._is_looked_after:
                self._is_looked_after = True
                self._look_after(None, asyncio._get_running_loop())
        return True

    def _call_thread(self, executor: Any) -> None:
        """Have an executor of asgiref's run the jobs of this paused one."""
        if executor is not None:
            try:
                executor.submit(self._run_while_paused)
            except RuntimeError:  # it accepts no jobs any more
                pass

    def _look_after(self, before: Any, loop: AbstractEventLoop | None) -> None:
        """Call the thread if it has entered another executor of asgiref's than ``before``."""
        with self._lock:
            self._is_looked_after = waits = bool(self.is_paused and self._work_items)
        if waits:
            executor = executor_served_by(self._work_thread)
            if executor is not before:
                self._call_thread(executor)
            if loop is not None:
                loop.call_later(LOOK_AFTER_S, self._look_after, executor, loop)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """``concurrent.futures.Executor.submit``, which asgiref calls.

        :raises DeadlockError: called on the waiting thread itself.
        :raises RuntimeError: neither this thread nor one further out still waits.
        """
        job = SubmittedCall(lambda: isolated(lambda: fn(*args, **kwargs)))
        if self.post(job):
            return job.future
        if self._old_executor is None:
            raise RuntimeError("CurrentThreadExecutor already quit or is broken")
        outer: Future[T] = self._old_executor.submit(fn, *args, **kwargs)
        return outer

    def call_on_close(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` on the waiting thread when this closes; at once if it is closed.

        :param callback: must not raise. Called once, even if it is added several times.
        """
        with self._lock:
            closed = self._broken
            if not closed:
                if self._close_callbacks is None:
                    self._close_callbacks = set()
                self._close_callbacks.add(callback)
        if closed:
            callback()

    def notify(self, *, ended: bool) -> None:
        """Let :meth:`run_jobs` return once no job waits.

        :param ended: the coroutine has ended, so no job is accepted after that.
        """
        with self._lock:
            self._is_notified = True
            self._has_ended = ended
            self._work_ready.notify()

    # -- on the waiting thread ------------------------------------------------------------------

    def run_jobs(self, poll_s: float) -> bool:
        """Run jobs until :meth:`notify` is called.

        :param poll_s: return after this many seconds without a job or a notification.
        :returns: whether it was notified.
        :raises BaseException: an exception of a signal handler, such as ``KeyboardInterrupt``.
        """
        if self.is_paused:
            self._resume()
        woken = True
        while True:
            if _paused and self._run_paused_job():
                continue
            with self._lock:
                job = self._work_items.popleft() if self._work_items else None
                if job is None:
                    if self._is_notified:
                        self._is_notified = False
                        self._broken = self._has_ended
                        self.is_paused = not self._broken
                        break
                    if self._work_ready.has_delegated_job:
                        self._work_ready.has_delegated_job = False
                        continue
                    if not woken:
                        return False
                    self._work_ready.prepare()
            if job is None:
                woken = self._work_ready.wait(poll_s)
            else:
                job.run()
                del job
        if not self._broken:
            self._pause()
        elif self._close_callbacks is not None:
            self._call_close_callbacks()
        return True

    # A signal handler may raise within the next two methods. The flag is set first and cleared
    # last, so an executor never delegates to itself.

    def _pause(self) -> None:
        _paused.setdefault(self._work_thread, Instances()).add(self)

    def _resume(self) -> None:
        with self._lock:
            self._work_ready.delegate = None
        _paused.get(self._work_thread, Instances()).discard(self)
        self.is_paused = False

    def _run_paused_job(self) -> bool:
        """Run a job of a paused executor of this thread; if there is none, delegate the next."""
        here = threading.current_thread()
        paused = _paused.get(here) if here is self._work_thread else None
        if paused is None:
            return False
        executors = paused.alive()
        for executor in executors:
            job = executor._pop_for(self)
            if job is not None:
                job.run()  # which may serve or pause another executor: start over
                return True
        if not executors:
            del _paused[here]
        return False

    def _run_while_paused(self) -> None:
        """A job of another executor, which may be on another thread, or run late."""
        while threading.current_thread() is self._work_thread:
            with self._lock:
                job = self._work_items.popleft() if self.is_paused and self._work_items else None
            if job is None:
                return
            job.run()

    def _pop_for(self, executor: WaitingThread) -> Any:
        """The next job of this paused executor. Later ones notify ``executor``."""
        with self._lock:
            self._work_ready.delegate = executor._work_ready
            return self._work_items.popleft() if self._work_items else None

    def close(self) -> None:
        """Accept no more jobs before the coroutine has ended; pass the waiting ones further out."""
        if self.is_paused:
            self._resume()
        with self._lock:
            self._broken = True
            jobs = list(self._work_items)
            self._work_items.clear()
        for job in jobs:
            if not self._pass_outward(job):
                _discard(job)
        self._call_close_callbacks()

    def _call_close_callbacks(self) -> None:
        if self._close_callbacks is not None:
            callbacks, self._close_callbacks = self._close_callbacks, None
            for callback in callbacks:
                callback()

    def _pass_outward(self, job: Job) -> bool:
        """Post a job to the executor further out. False if there is none that still waits."""
        outer = self._old_executor
        try:
            if isinstance(outer, WaitingThread):
                return outer.post(job) or outer._pass_outward(job)
            if outer is not None:
                outer.submit(job.run)
                return True
        except RuntimeError:  # asgiref's is closed
            pass
        return False


def _discard(job: Any) -> None:
    if isinstance(job, Job):
        job.discard()
    else:
        job.future.cancel()  # a work item of asgiref's
