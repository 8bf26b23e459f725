"""A call of a sync function on its way from an event loop to a thread and back.

What enters: a function, its arguments and a context, from a coroutine. What leaves: the result or
the exception, in the same coroutine. In between: :meth:`Call.run`, on whichever thread took it.

Rule 1. Who gets the ticket decides what becomes of the call: the thread, and it runs; or a
        cancelled caller, and it never starts. There is no third way and no moment in between.
Rule 2. The thread writes ``_result`` or ``error`` and posts :meth:`Call._arrive`; the rest is the
        loop's. So the loop is woken once for many calls that end together.
Rule 3. A call is what its caller's task awaits: a future-like object (``asyncio.isfuture``) that
        takes one callback, the task's own. On arrival the task goes on then and there, and not,
        as behind an ``asyncio.Future``, in the loop's next turn.
Rule 4. A running call cannot be stopped, so its caller does not wait for it: the call is
        ``abandoned``, :func:`cancelled` tells the function so, and nobody adopts its context. But
        if the function itself waits for a coroutine (``async_to_sync``), that coroutine is
        cancelled instead, and the caller waits for the function to unwind: its ``finally`` blocks
        run before the caller goes on, as they would if all of it were async.
"""

from __future__ import annotations

import logging
from asyncio import AbstractEventLoop, CancelledError, Task
from collections.abc import Callable, Generator
from contextvars import Context, copy_context
from sys import exception
from time import monotonic
from typing import Any, Protocol

from bridge._threads import process
from bridge._threads.asgiref_state import (
    CALL,
    LOOP,
    LOOP_PID,
    OCCUPIED,
    TASKS,
    current_call,
    holds_locals,
    rehome,
    this_thread,
)
from bridge._threads.context import adopt
from bridge._threads.job import Job
from bridge._threads.loop_inbox import inbox_of
from bridge._threads.real_threads import RealLock
from bridge.errors import PoolClosed

__all__ = ["Call", "cancelled", "settle_cancellation"]

logger = logging.getLogger("bridge.sync")


def settle_cancellation() -> None:
    """What the function that runs here does from now on is no longer cancelled with its caller:
    the coroutines of its cleaning up run to their end.
    """
    call = current_call()
    if call is not None:
        call.owes_cancellation = False


def cancelled() -> bool:
    """Whether the caller of the sync function that runs here has stopped waiting for it.

    For long functions called through :func:`~bridge.sync_to_async`,
    :func:`~bridge.iterate_in_threads` and :func:`~bridge.enter_in_threads`: look now and then, and
    return early. What is returned or raised from then on reaches nobody. Always False outside of
    such a call.

    On the thread that runs the function; never blocks.
    """
    call = current_call()
    return call is not None and bool(call.abandoned)


class Awaited(Protocol):
    """What a sync function waits for."""

    def cancel_owed(self) -> None:
        """Cancel it if its call still owes that. On any thread; returns at once."""


class Call(Job):
    """One call. A job of :class:`~bridge._threads.pool.WorkerPool`, too.

    :ivar loop: where the caller waits.
    :ivar tasks: the tasks that asgiref's ``async_to_sync`` runs for this call's thread.
    :ivar waits_for: what this call's thread waits for in a helper of ours; the thread writes it.
    :ivar abandoned: the caller waits no longer.
    :ivar owes_cancellation: its caller was cancelled, and no coroutine that its function waits for
        has been told yet: that one, or else the next one that it starts, is cancelled.
    :ivar occupies: it runs on asgiref's single thread.
    :ivar ended: the thread is through with it.
    :ivar settles: a pool runs it that calls :meth:`settle`.
    :ivar must_run: its turn comes even if its caller is cancelled: it ends what has begun.
    """

    __slots__ = (
        "_args",
        "_asyncio_future_blocking",
        "_cancelled",
        "_func",
        "_handled",
        "_inbox",
        "_kwargs",
        "_result",
        "_shares_context",
        "_ticket",
        "_wake",
        "_wake_context",
        "abandoned",
        "arrived",
        "context",
        "ended",
        "error",
        "loop",
        "must_run",
        "occupies",
        "owes_cancellation",
        "settles",
        "tasks",
        "waits_for",
    )

    def __init__(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        context: Context | None,
        loop: AbstractEventLoop,
    ) -> None:
        self._func = func
        self._args = args
        self._kwargs = kwargs
        self._shares_context = context is None
        self.context = copy_context() if context is None else context
        self._handled = exception()
        self.loop = loop
        self._inbox = inbox_of(loop)
        self._ticket = RealLock()
        self._result: Any = None
        self._asyncio_future_blocking = False
        self._cancelled: CancelledError | None = None
        self._wake: Callable[[Call], object] | None = None
        self._wake_context: Context
        self.error: BaseException | None = None
        self.tasks: list[Task[Any]] | None = None
        self.waits_for: Awaited | None = None
        self.abandoned = False
        self.arrived = False
        self.ended = False
        self.must_run = False
        self.occupies = False
        self.owes_cancellation = False
        self.settles = False
        self.posted_at = monotonic()

    def __bool__(self) -> bool:
        """Whether it still occupies its thread: see ``asgiref_state.OCCUPIED``."""
        return not self.ended

    # -- the thread's side: a job ---------------------------------------------------------------

    def run(self) -> None:
        """Call the function. Never raises; does nothing if the caller was cancelled before."""
        if not self._ticket.acquire(False):
            return
        here = this_thread.__dict__
        before = here.copy()
        try:  # all of it: a signal handler may raise anywhere
            here[LOOP] = self.loop
            here[LOOP_PID] = process.pid
            here[TASKS] = self.tasks = []
            here[CALL] = self
            context = self.context
            if self.occupies or self._handled is not None or (context and holds_locals(context)):
                self._result = context.run(self._run)
            else:
                self._result = context.run(self._func, *self._args, **self._kwargs)
        except BaseException as error:
            self.error = error
        here.clear()
        here.update(before)
        self.ended = True
        if not self.settles:
            self._inbox.post(self._arrive)

    def settle(self) -> None:
        """Tell the loop; from a pool that does so when its thread is free again."""
        if self.settles and self.ended:
            self._inbox.post(self._arrive)

    def discard(self, error: BaseException | None = None) -> None:
        """The pool was shut down before this call's turn came; or, by its executor's ``error``."""
        if self._ticket.acquire(False):
            closed = "the pool was shut down before the call's turn came"
            self.error = PoolClosed(closed) if error is None else error
            self.ended = True
            self._inbox.post(self._arrive)

    def _run(self) -> Any:
        if self.context:
            rehome(self.context)
        if not self.occupies:
            return self._call()
        token = OCCUPIED.set(self)
        try:
            return self._call()
        finally:
            OCCUPIED.reset(token)

    def _call(self) -> Any:
        handled = self._handled
        if handled is None:
            return self._func(*self._args, **self._kwargs)
        # The caller is inside an except block: so is the function, for sys.exc_info() and "raise".
        traceback = handled.__traceback__
        try:
            raise handled
        except BaseException:
            handled.__traceback__ = traceback
            return self._func(*self._args, **self._kwargs)

    # -- the loop's side ------------------------------------------------------------------------

    def __await__(self) -> Generator[Call, None, Any]:
        """Wait for the thread. Returns the function's result, or raises what it raised."""
        if not self.arrived:
            self._asyncio_future_blocking = True
            try:
                yield self
            except CancelledError:
                if not self._hand_on_cancellation():
                    raise
                yield from self._await_unwinding()
        if self._shares_context and self.context:
            adopt(self.context)
        error, self.error = self.error, None
        if error is None:
            return self._result
        try:
            raise error
        finally:
            del error  # its traceback holds this frame: break the cycle

    def withdraw(self) -> bool:
        """True: it had not started, and never will."""
        withdrawn: bool = self._ticket.acquire(False)
        return withdrawn

    def _hand_on_cancellation(self) -> bool:
        """The caller is cancelled. True: not yet, the coroutine inside the function is, first."""
        if not self.must_run and self.withdraw():
            return False
        if self.arrived:
            self.abandoned = True
            self._report()
            return False
        self.owes_cancellation = True  # before the look: a coroutine that begins looks, too
        waits_for = self.waits_for
        if waits_for is not None:
            waits_for.cancel_owed()
            return True
        task = next(iter(self.tasks or ()), None)  # another thread may end it meanwhile
        if task is not None:
            self.owes_cancellation = False
            _cancel(task, self.loop)
            return True
        self.abandoned = True
        return False

    def _await_unwinding(self) -> Generator[Call, None, None]:
        self._asyncio_future_blocking = True
        try:
            yield self
        except CancelledError:
            self.abandoned = True  # cancelled once more: now the caller does not wait
            raise

    def _arrive(self) -> None:
        self.arrived = True
        wake, self._wake = self._wake, None
        if wake is not None:
            self._wake_context.run(wake, self)
        elif self.abandoned and self.error is not None:
            self._report()

    def _report(self) -> None:
        """Nobody waits for an error now; an ordinary one must not vanish."""
        error, self.error = self.error, None
        if isinstance(error, Exception):
            logger.error("%r failed after its caller was cancelled", self._func, exc_info=error)

    # -- what a task asks of what it awaits -------------------------------------------------------

    def get_loop(self) -> AbstractEventLoop:
        return self.loop

    def add_done_callback(self, wake: Callable[[Call], object], *, context: Context) -> None:
        self._wake = wake
        self._wake_context = context

    def result(self) -> None:
        """What the woken task calls: the outcome itself is given by ``await``."""
        cancelled, self._cancelled = self._cancelled, None
        if cancelled is not None:
            raise cancelled

    def cancel(self, msg: object = None) -> bool:
        """The task that awaits this is cancelled."""
        wake, self._wake = self._wake, None
        if wake is None:
            return False
        self._cancelled = CancelledError() if msg is None else CancelledError(msg)
        self.loop.call_soon(wake, self, context=self._wake_context)
        return True


def _cancel(task: Task[Any], loop: AbstractEventLoop) -> None:
    """Cancel a task from the thread of ``loop``; it may run on another one."""
    home = task.get_loop()
    if home is loop:
        task.cancel()
    else:
        home.call_soon_threadsafe(task.cancel)
