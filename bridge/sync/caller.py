"""A thread that waits for a coroutine, and meanwhile runs the sync code sent back to it.

What enters: jobs, from the event loop that runs the coroutine. What leaves: nothing; jobs tell
their own owners. All of it runs on the thread that made the :class:`CallerThread`, while it is in
:meth:`CallerThread.serve`.

To asgiref it is a ``CurrentThreadExecutor``: asgiref's ``sync_to_async`` finds it in
``AsyncToSync.executors.current`` and submits to it, and an executor of asgiref's own that has quit
puts what it is given into the one outside of it. So it has asgiref's fields under asgiref's names.

Rule 1. The lock of ``_work_ready`` guards ``_work_items``, ``_broken`` and the two flags below it,
        and is never held while foreign code runs.
Rule 2. It closes (``_broken``), under that lock, when the coroutine has ended and no job is left. A
        job that comes later is refused, and its owner looks further out.
Rule 3. A frame whose coroutine goes on while its thread does something else (a manager that is
        entered, an iteration between two items) is *paused*. Jobs still come to it, because the
        thread is theirs; whatever frame that thread serves next runs them, too.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary, WeakSet

from bridge._threads.asgiref_state import CurrentThreadExecutor, isolated
from bridge._threads.job import Job, SubmittedCall
from bridge._threads.real_threads import RealLock
from bridge.errors import DeadlockError

__all__ = ["OWN_THREAD", "CallerThread"]

OWN_THREAD = (
    "this event loop runs on the very thread that its thread-sensitive sync code would have to run "
    "on. Run the loop on another thread, or await sync_to_async(..., thread_sensitive=False)"
)

P = ParamSpec("P")
T = TypeVar("T")


# No lock: a thread adds its own frames, and a finalizer anywhere may only take one away. Weak: what
# was entered or begun may be dropped without a word, and its thread may have ended.
_paused: WeakKeyDictionary[threading.Thread, WeakSet[CallerThread]] = WeakKeyDictionary()


class _Ready:
    """A condition with one thread that waits: the lock it waits at is made once.

    :ivar stand_in: of the frame that runs this one's jobs while it is paused.
    :ivar poked: a frame that this one stands in for has got a job.

    Rule. ``_gate`` is closed, under the lock, before each wait (:meth:`expect`). Whoever finds
    ``_waits`` takes it back and opens the gate. So what a wait leaves behind, however it ended,
    changes nothing for the next: a signal handler may raise in it at any moment.
    """

    __slots__ = ("_gate", "_waits", "lock", "poked", "stand_in")

    def __init__(self) -> None:
        self.lock = RealLock()
        self._gate = threading.Lock()  # this may be a greenlet's
        self._waits = False
        self.poked = False
        self.stand_in: _Ready | None = None

    def __enter__(self) -> None:
        self.lock.acquire()

    def __exit__(self, *exc_info: object) -> None:
        self.lock.release()

    def notify(self) -> None:
        """Under the lock."""
        if self._waits:
            self._waits = False
            self._gate.release()
        if self.stand_in is not None:
            with self.stand_in.lock:  # which serves, so nobody stands in for it
                self.stand_in.poked = True
                self.stand_in.notify()

    def expect(self) -> None:
        """Under the lock: who notifies from now on ends the next :meth:`wait`."""
        self._gate.acquire(False)
        self._waits = True

    def wait(self, timeout_s: float) -> bool:
        """Not under the lock. False: nobody came in that time."""
        return self._gate.acquire(timeout=timeout_s)


class CallerThread(CurrentThreadExecutor):
    """The sync frame of one ``async_to_sync`` call.

    :param outer: the executor of the sync frame further out, ours or asgiref's.
    """

    _work_items: deque[Any]
    _work_ready: Any
    _old_executor: Any

    def __init__(self, outer: Any = None) -> None:
        # Not super().__init__(): it takes an argument only since asgiref 3.9.
        self._work_thread = threading.current_thread()
        self._work_ready = ready = _Ready()
        self._work_items = deque()
        self._broken = False
        self._old_executor = outer
        self._lock = ready.lock
        self._news = False
        self._last = False
        self._is_paused = False
        self._on_close: set[Callable[[], object]] | None = None

    @property
    def outer(self) -> Any:
        """The executor of the sync frame further out, if any."""
        return self._old_executor

    # -- from the loop's thread -----------------------------------------------------------------

    def post(self, job: Job) -> bool:
        """Run ``job`` on the waiting thread. Never blocks.

        :returns: False: the thread waits no longer.
        :raises DeadlockError: called on that very thread.
        """
        with self._lock:
            if self._broken:
                return False
            if threading.current_thread() is self._work_thread:
                raise DeadlockError(OWN_THREAD)
            self._work_items.append(job)
            self._work_ready.notify()
        return True

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """``concurrent.futures``: what asgiref calls.

        :raises DeadlockError: called on the waiting thread itself.
        :raises RuntimeError: neither this thread nor one further out waits any more.
        """
        job = SubmittedCall(lambda: isolated(lambda: fn(*args, **kwargs)))
        if self.post(job):
            return job.future
        if self._old_executor is None:
            raise RuntimeError("CurrentThreadExecutor already quit or is broken")
        outer: Future[T] = self._old_executor.submit(fn, *args, **kwargs)
        return outer

    def call_when_closed(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` on the waiting thread when it goes on, or here, if it has.

        :param callback: must not raise. Called once, however often it was given.
        """
        with self._lock:
            closed = self._broken
            if not closed:
                if self._on_close is None:
                    self._on_close = set()
                self._on_close.add(callback)
        if closed:
            callback()

    def notify(self, *, last: bool) -> None:
        """There is news for the thread: once the jobs are done, it goes on.

        :param last: the coroutine has ended. No job is taken after that.
        """
        with self._lock:
            self._news = True
            self._last = last
            self._work_ready.notify()

    # -- on the waiting thread ------------------------------------------------------------------

    def serve(self, look_s: float) -> bool:
        """Run jobs until there is news.

        :param look_s: return after so many seconds in which nothing came.
        :returns: whether there is news.
        :raises BaseException: what a signal handler raised, such as ``KeyboardInterrupt``.
        """
        if self._is_paused:
            self._resume()
        waited = True
        while True:
            if _paused and self._stand_in_for_paused():
                continue
            with self._lock:
                job = self._work_items.popleft() if self._work_items else None
                if job is None:
                    if self._news:
                        self._news = False
                        self._broken = self._last
                        break
                    if self._work_ready.poked:
                        self._work_ready.poked = False
                        continue
                    if not waited:
                        return False
                    self._work_ready.expect()
            if job is None:
                waited = self._work_ready.wait(look_s)
            else:
                job.run()
                del job
        if not self._broken:
            self._pause()
        elif self._on_close is not None:
            self._tell_closed()
        return True

    # A signal handler may raise within these two: the flag, set first and cleared last, has it that
    # a frame never stands in for itself.

    def _pause(self) -> None:
        self._is_paused = True
        _paused.setdefault(self._work_thread, WeakSet()).add(self)

    def _resume(self) -> None:
        with self._lock:
            self._work_ready.stand_in = None
        _paused.get(self._work_thread, WeakSet()).discard(self)
        self._is_paused = False

    def _stand_in_for_paused(self) -> bool:
        """Run a job of one of this thread's paused frames; or else be told of the next."""
        here = threading.current_thread()
        frames = _paused.get(here) if here is self._work_thread else None
        if frames is None:
            return False
        for frame in tuple(frames):
            job = frame._pop_for(self)
            if job is not None:
                job.run()  # which may serve a frame of its own, or pause one: look at all once more
                return True
        if not frames:
            del _paused[here]
        return False

    def _pop_for(self, frame: CallerThread) -> Any:
        with self._lock:
            self._work_ready.stand_in = frame._work_ready
            return self._work_items.popleft() if self._work_items else None

    def close(self) -> None:
        """The thread leaves early: take no more jobs, and hand on what waits."""
        if self._is_paused:
            self._resume()
        with self._lock:
            self._broken = True
            jobs = list(self._work_items)
            self._work_items.clear()
        for job in jobs:
            if not self._hand_on(job):
                _discard(job)
        self._tell_closed()

    def _tell_closed(self) -> None:
        if self._on_close is not None:
            callbacks, self._on_close = self._on_close, None
            for callback in callbacks:
                callback()

    def _hand_on(self, job: Job) -> bool:
        """Give a job to the frame further out. False: there is none."""
        outer = self._old_executor
        try:
            if isinstance(outer, CallerThread):
                return outer.post(job) or outer._hand_on(job)
            if outer is not None:
                outer.submit(job.run)
                return True
        except RuntimeError:  # asgiref's has quit
            pass
        return False


def _discard(job: Any) -> None:
    if isinstance(job, Job):
        job.discard()
    else:
        job.future.cancel()  # a work item of asgiref's
