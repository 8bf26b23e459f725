"""Our calls on an executor of somebody else's, which runs one job at a time.

What enters: :class:`~bridge.sync.calls.Call` objects, from event loops. What leaves: the
same calls, run on the executor's thread, in the order in which they and everyone else's jobs came.

An executor's ``submit`` costs several times as much as the rest of a call: a future, a condition, a
queue. So calls that come while an earlier one still waits or runs join its batch, and one
``submit`` carries them all.

Rule 1. A call joins a batch only while that batch is the last thing in the executor's queue. So a
        job that somebody else submits is never overtaken, and never kept waiting by calls that
        came after it. The queue's length tells; an executor that does not show its queue gets one
        ``submit`` per call. (A job submitted in the very instant in which the thread takes the
        batch out of the queue may still be overtaken, by calls that nobody had promised an order.)
        What has joined a batch shares its fate: it runs with it, or the executor drops both.
Rule 2. A batch ends, under the lock, only when it is empty; from then on nothing joins it.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Executor, Future
from typing import Any
from weakref import WeakKeyDictionary

from bridge._threads import process
from bridge._threads.asgiref_state import queue_length, shows_its_queue
from bridge._threads.job import drop_error, submit_or_discard
from bridge._threads.real_threads import RealLock
from bridge.sync.calls import Call

__all__ = ["SerialQueue", "post_in_order"]


class _Batch:
    """A job of the executor's: calls that run one after the other."""

    __slots__ = ("_queue", "calls", "started")

    def __init__(self, queue: SerialQueue, call: Call) -> None:
        self._queue = queue
        self.calls = deque((call,))
        self.started = False

    def run(self) -> None:
        self.started = True
        while (call := self._queue.next_of(self)) is not None:
            call.run()
            del call  # an idle thread must not keep the last call alive

    def look(self, future: Future[Any]) -> None:
        """The executor is through with it. Has it dropped it, with all its calls?"""
        if self.started:  # as mostly
            return
        error = drop_error(future)
        while (call := self._queue.next_of(self)) is not None:
            call.discard(error)


class SerialQueue:
    """The batches on their way to one executor. It knows the executor only while it posts."""

    __slots__ = ("_last", "_lock")

    def __init__(self) -> None:
        self._lock = RealLock()
        self._last: _Batch | None = None

    def post(self, call: Call, executor: Executor) -> None:
        """Run ``call`` on ``executor`` after everything that is there already.

        ``submit`` is called under the lock: the kinds of executor that come here run nothing in it.

        :raises RuntimeError: the executor takes no more jobs.
        """
        with self._lock:
            last = self._last
            if last is not None and self._is_at_the_end(last, executor):
                last.calls.append(call)
                return
            batch = _Batch(self, call)
            future = executor.submit(batch.run)
            self._last = batch
        future.add_done_callback(batch.look)  # not under the lock: it may be called at once

    @staticmethod
    def _is_at_the_end(batch: _Batch, executor: Executor) -> bool:
        """Rule 1. A batch that has started is in the queue no more; one that waits is all of it."""
        return queue_length(executor) == (0 if batch.started else 1)

    def next_of(self, batch: _Batch) -> Call | None:
        """The next call of the batch; None ends it."""
        with self._lock:
            if batch.calls:
                return batch.calls.popleft()
            if self._last is batch:
                self._last = None
            return None


_queues: WeakKeyDictionary[Executor, SerialQueue] = WeakKeyDictionary()


def post_in_order(call: Call, executor: Executor) -> None:
    """Run ``call`` on a single-threaded executor, in its turn.

    :raises RuntimeError: the executor takes no more jobs.
    """
    queue = _queues.get(executor)
    if queue is None:
        if not shows_its_queue(executor):
            submit_or_discard(executor, call.run, call.discard)
            return
        queue = _queues.setdefault(executor, SerialQueue())
    queue.post(call, executor)


def _forget_batches() -> None:
    _queues.clear()


process.in_child(process.Fork.CALLS, _forget_batches)
