"""The rests of responses that an adapter sends at the moment, and the threads that help.

Input: the coroutine that sends a :class:`~bridge.wsgi_to_asgi.rest.Rest`. Output: a task on the
event loop, then one call of the app's ``close()`` on a thread.

Rule 1. The task runs in the context in which the app ran on its thread. Nothing else enters that
        context before the task has ended, which Python would not allow: ``close()`` is called then,
        in the same context, on a thread.
Rule 2. Whatever ends the task calls ``close()``: its end, an error, a disconnect, the server.
Rule 3. The threads belong to no pool of the app. A response that has begun is neither refused
        because of a full backlog nor delayed by requests that wait.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from asyncio import Future, Task, get_running_loop
from collections.abc import Callable, Coroutine
from contextvars import Context
from functools import partial
from time import monotonic
from typing import Any, TypeVar

from bridge._repeated_log import RepeatedLog
from bridge._threads.job import Job
from bridge._threads.loop_inbox import LoopInbox, inbox_of
from bridge._threads.own_tasks import own_task
from bridge._threads.pool import WorkerPool
from bridge.errors import PoolClosed

__all__ = ["RestTask", "Rests"]

logger = logging.getLogger("bridge.wsgi_to_asgi")
repeated = RepeatedLog(logger)

T = TypeVar("T")

STOP_S = 1.0
"""How long the rests that are stopped at shutdown may take to unwind."""


class _Call(Job):
    """A call on a thread, and its outcome on the loop that has made it."""

    __slots__ = ("_function", "_inbox", "_outcome")

    def __init__(
        self, function: Callable[[], T], outcome: Future[T], inbox: LoopInbox, at: float
    ) -> None:
        self._function = function
        self._outcome = outcome
        self._inbox = inbox
        self.posted_at = at

    def subject(self) -> object:
        return self._function

    def run(self) -> None:
        try:
            result = self._function()
        except BaseException as error:
            self._inbox.post(partial(self._settle, self._outcome.set_exception, error))
        else:
            self._inbox.post(partial(self._settle, self._outcome.set_result, result))

    def discard(self, error: BaseException | None = None) -> None:
        """The interpreter ends."""
        reason = error or PoolClosed("the interpreter ends")
        self._inbox.post(partial(self._settle, self._outcome.set_exception, reason))

    def _settle(self, settle: Callable[[Any], None], value: object) -> None:
        if not self._outcome.done():
            settle(value)


class RestTask:
    """A rest that is being sent.

    :param stop: of the request: lets it end as after a disconnect, complete or not.
    :ivar is_sent: the server has the end of the response. A disconnect does not cancel the task.
    :ivar ended: done after ``close()``.
    """

    __slots__ = ("_is_cancelled", "_task", "ended", "is_sent", "stop")

    def __init__(self, task: Task[None], stop: Callable[[], object]) -> None:
        self._task = task
        self._is_cancelled = False
        self.is_sent = False
        self.stop = stop
        self.ended: Future[None] = get_running_loop().create_future()

    def cancel(self) -> None:
        """Cancel the task, unless it calls this itself. Once: a second time, after a disconnect and
        by the server, would interrupt what it does to end.
        """
        if not self._is_cancelled and asyncio.current_task() is not self._task:
            self._is_cancelled = True
            self._task.cancel()


class Rests:
    """The rests that an adapter sends at the moment, and the threads that help. On the loop.

    :param threads: how many of them there may be. They start when they are needed.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool: WorkerPool | None = None
        self._running: set[RestTask] = set()

    def __len__(self) -> int:
        return len(self._running)

    def start(
        self,
        sending: Coroutine[Any, Any, None],
        context: Context,
        *,
        close: Callable[[], object],
        stop: Callable[[], object],
    ) -> RestTask:
        """Send a rest.

        :param sending: what the task runs. It must not raise.
        :param context: which the task enters: rule 1.
        :param close: calls the app's ``close()``, on a thread. It must not raise.
        :param stop: lets the response end as after a disconnect.
        """
        task = own_task(sending, get_running_loop(), name="bridge-response", context=context)
        rest = RestTask(task, stop)
        self._running.add(rest)
        task.add_done_callback(partial(self._close, rest, close), context=Context())
        return rest

    def _close(self, rest: RestTask, close: Callable[[], object], _: object) -> None:
        try:
            closing = self.call(close)
        except RuntimeError:  # the system has no more threads
            repeated.exception("close() of a response cannot be called")
            self._end(rest, None)
        else:
            closing.add_done_callback(partial(self._end, rest))

    def _end(self, rest: RestTask, closing: Future[Any] | None) -> None:
        if closing is not None:
            closing.exception()  # only at the end of the interpreter
        self._running.discard(rest)
        if not rest.ended.done():
            rest.ended.set_result(None)

    def call(self, function: Callable[[], T]) -> Future[T]:
        """Call a function on a thread, in an empty context. On the loop.

        :raises RuntimeError: there is no thread, and none can be started.
        """
        loop = get_running_loop()
        outcome: Future[T] = loop.create_future()
        if self._pool is None:
            self._pool = WorkerPool(
                self._threads, backlog=sys.maxsize, wait_target_s=None, name="bridge-rest"
            )
        self._pool.post(_Call(function, outcome, inbox_of(loop), monotonic()), loop)
        return outcome

    async def drain(self, timeout_s: float) -> None:
        """Wait until all have ended, stop those that have not by then, and end the threads."""
        if self._running:
            await asyncio.wait([each.ended for each in self._running], timeout=timeout_s)
        left = list(self._running)
        if left:
            logger.warning("%d responses are stopped: they have not ended in time", len(left))
            for each in left:
                each.stop()
            await asyncio.wait([each.ended for each in left], timeout=STOP_S)
        pool, self._pool = self._pool, None  # a server may start us once more
        if pool is not None:
            pool.close()
