"""A worker thread that is kept for a while: for what must begin, go on and end on one thread.

What enters: calls, from the loop that has the lease. What leaves: the same calls, run one after the
other on one thread of a pool. The thread is the pool's again after :meth:`ReservedThread.release`.
"""

from __future__ import annotations

import time
from _queue import Empty, SimpleQueue  # not queue's: gevent's is not for a real thread
from asyncio import AbstractEventLoop
from typing import Any

from bridge._threads.job import Job, submit_or_discard
from bridge.sync.calls import Call
from bridge.sync.pools import iteration_pool

__all__ = ["ReservedThread"]


class ReservedThread(Job):
    """A job of the pool, which lasts as long as the lease.

    :param executor: whose thread; None is a pool kept for this.
    :raises PoolSaturated: the pool has no room for it.
    """

    def __init__(self, executor: Any, loop: AbstractEventLoop) -> None:
        self.posted_at = time.monotonic()
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._dropped = False
        self._error: BaseException | None = None
        post = getattr(executor or iteration_pool(), "post", None)
        if post is None:
            submit_or_discard(executor, self.run, self.discard)
        else:
            post(self, loop)

    def post(self, call: Call) -> None:
        """Run ``call`` on the thread, after what is there already. Never blocks."""
        self._calls.put(call)
        if self._dropped:
            self._discard_calls()

    def release(self) -> None:
        """Give the thread back, once it has run what is there. From anywhere, a finalizer too."""
        self._calls.put(None)

    def run(self) -> None:
        """On the thread: ends with the lease, whose holder ends it in every case."""
        while (call := self._calls.get()) is not None:
            call.run()
            del call  # a waiting thread must not keep the last call alive

    def discard(self, error: BaseException | None = None) -> None:
        """The pool was shut down before it had a thread for this lease; or, its executor's error.

        What comes later is discarded, too: its caller has not heard of this yet.
        """
        self._error = error
        self._dropped = True
        self._discard_calls()

    def _discard_calls(self) -> None:
        try:
            while True:
                call = self._calls.get(False)
                if call is not None:
                    call.discard(self._error)
        except Empty:
            pass
