"""A thread of a pool that runs calls of one owner only, until it is released.

For iterations and context managers, which have to start, continue and end on one thread. Their
calls are posted from the event loop and run one after the other.
"""

from __future__ import annotations

import _queue
import queue
import time
from asyncio import AbstractEventLoop
from concurrent.futures import Executor

from bridge._threads.greenlets import greenlets_run_here
from bridge._threads.job import Job, submit_or_discard
from bridge._threads.pool import WorkerPool
from bridge.sync.calls import Call
from bridge.sync.pools import Limit, reservation_pool

__all__ = ["ReservedThread"]


class ReservedThread(Job):
    """A job of the pool, which keeps its thread until :meth:`release`.

    :param executor: whose thread is reserved; None is a pool for reservations.
    :raises PoolSaturated: the pool has no room for it.
    """

    def __init__(self, executor: Executor | None, loop: AbstractEventLoop) -> None:
        self.posted_at = time.monotonic()
        made = queue.SimpleQueue if greenlets_run_here() else _queue.SimpleQueue
        self._calls: queue.SimpleQueue[Call | None] = made()
        self._is_discarded = False
        self._error: BaseException | None = None
        if executor is None:
            executor = reservation_pool()
        if isinstance(executor, (WorkerPool, Limit)):
            executor.post(self, loop)
        else:
            submit_or_discard(executor, self.run, self.discard)

    def post(self, call: Call) -> None:
        """Run ``call`` on the thread, after those posted before. Never blocks."""
        self._calls.put(call)
        if self._is_discarded:
            self._discard_calls()

    def release(self) -> None:
        """Return the thread to its pool after the posted calls. From any thread or finalizer."""
        self._calls.put(None)

    def run(self) -> None:
        """On the thread: run calls until it is released, which its owner does in every case."""
        while (call := self._calls.get()) is not None:
            call.run()
            del call  # a waiting thread must not keep the last call alive

    def discard(self, error: BaseException | None = None) -> None:
        """Discard the calls: the pool was shut down, or dropped this job because of ``error``.

        Later ones are discarded, too: their callers do not know of this yet.
        """
        self._error = error
        self._is_discarded = True
        self._discard_calls()

    def _discard_calls(self) -> None:
        try:
            while True:
                call = self._calls.get(False)
                if call is not None:
                    call.discard(self._error)
        except queue.Empty:
            pass
