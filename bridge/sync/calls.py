"""One call of a sync function from a coroutine: it runs on a thread, and the coroutine awaits it.

The coroutine makes a :class:`Call` of a function, its arguments and a context, posts it to a thread
and awaits it. :meth:`Call.run` runs on that thread. The result, or the exception, is returned or
raised in the coroutine.

Rule 1. The side that acquires the ticket decides: if it is the thread, the call runs; if it is the
        cancelled caller, the call never starts. There is no state in between.
Rule 2. The thread writes ``_result`` or ``error`` and posts :meth:`Call._arrive`; the loop does the
        rest. So the loop is woken once for many calls that end together.
Rule 3. The caller's task awaits the call itself: a future-like object (``asyncio.isfuture``) that
        takes one callback, the task's. When the call arrives, the task continues at once; behind
        an ``asyncio.Future`` it would continue in the loop's next turn.
Rule 4. A running call cannot be stopped, so its caller does not wait for it: the call is
        ``abandoned``, :func:`cancelled` is True in the function, and its context is not adopted.
        But if the function itself waits for a coroutine (``async_to_sync``), that coroutine is
        cancelled instead, and the caller waits until the function has unwound: its ``finally``
        blocks run before the caller continues, as they would if all of it were async.
"""

from __future__ import annotations

import logging
from asyncio import AbstractEventLoop, CancelledError, Task
from collections.abc import Callable, Generator
from contextvars import Context, copy_context
from sys import exception
from time import monotonic
from typing import Any, ClassVar, Protocol

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
from bridge._threads.locks import RealLock
from bridge._threads.loop_inbox import inbox_of
from bridge.errors import PoolClosed

__all__ = ["Call", "cancelled", "clear_pending_cancellation"]

logger = logging.getLogger("bridge.sync")


def clear_pending_cancellation() -> None:
    """Let the function that runs here clean up: the coroutines that it waits for from now on are
    not cancelled with its caller.
    """
    call = current_call()
    if call is not None:
        call.cancellation_pending = False


def cancelled() -> bool:
    """Whether the code that called the current sync function has stopped waiting for it.

    A thread cannot be interrupted, so a function whose caller is cancelled or times out keeps
    running. A long function can check this from time to time and return early. Its result is
    discarded in that case; an exception is logged by the logger ``bridge.sync``.

    Works in functions, iterables and context managers that run through
    :func:`~bridge.sync_to_async`, :func:`~bridge.iterate_in_threads` and
    :func:`~bridge.enter_in_threads`; anywhere else it is always False. Call it on the thread that
    runs the function. Never blocks.
    """
    call = current_call()
    return call is not None and bool(call.abandoned)


class Cancellable(Protocol):
    """Something asynchronous that a sync function waits for."""

    def cancel_if_pending(self) -> None:
        """Cancel it if the call's cancellation is still pending. On any thread; never blocks."""


class Call(Job):
    """One call: a job for a thread, and an awaitable for the caller's task.

    :ivar loop: the caller's event loop.
    :ivar tasks: the tasks that asgiref's ``async_to_sync`` runs for this call's thread.
    :ivar waits_for: what this call's thread waits for in a helper of ours; the thread writes it.
    :ivar abandoned: the caller no longer waits.
    :ivar cancellation_pending: the caller was cancelled, and no coroutine that the function waits
        for has been cancelled yet. It is the current one, or else the next one that it starts.
    :ivar on_single_thread: it runs on asgiref's single thread.
    :ivar ended: the thread has finished it.
    :ivar settles: it runs on a pool that calls :meth:`settle`.
    :ivar must_run: it runs even if its caller is cancelled, because it ends what another began.
    :cvar made_as: the class that ``sync_to_async`` makes: this one, or in its place one that
        observes it.
    """

    made_as: ClassVar[type[Call]]

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
        "cancellation_pending",
        "context",
        "ended",
        "error",
        "loop",
        "must_run",
        "on_single_thread",
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
        self.waits_for: Cancellable | None = None
        self.abandoned = False
        self.arrived = False
        self.cancellation_pending = False
        self.ended = False
        self.must_run = False
        self.on_single_thread = False
        self.settles = False
        self.posted_at = monotonic()

    def __bool__(self) -> bool:
        """Whether it occupies asgiref's single thread: the value of ``asgiref_state.OCCUPIED``."""
        return not self.ended

    # -- on the thread: a job -------------------------------------------------------------------

    def run(self) -> None:
        """Call the function; do nothing if the caller was cancelled before. Does not raise."""
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
            if (
                self.on_single_thread
                or self._handled is not None
                or (context and holds_locals(context))
            ):
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
        """Wake the loop, from a pool that calls this when the thread is free for another job."""
        if self.settles and self.ended:
            self._inbox.post(self._arrive)

    def run_in_executor(self) -> None:
        """As :meth:`run`, for an executor that may have a use for the exception, too: one that is
        not an ``Exception`` may come from a signal handler, and be meant for the thread.

        :raises BaseException: it, once the loop will wake the caller.
        """
        self.settles = True  # the caller must not take the exception before this method has
        self.run()
        error = self.error
        self.settle()
        if error is None or isinstance(error, Exception):
            return
        try:
            raise error
        finally:
            del error  # its traceback holds this frame: break the cycle

    def subject(self) -> object:
        return self._func

    def is_pending(self) -> bool:
        """Whether its caller still waits for it to start."""
        return not self._ticket.locked()

    def discard(self, error: BaseException | None = None) -> None:
        """Fail the call: the pool was shut down, or dropped it because of ``error``."""
        if self._ticket.acquire(False):
            closed = "the pool was shut down before the call started"
            self.error = PoolClosed(closed) if error is None else error
            self.ended = True
            self._inbox.post(self._arrive)

    def _run(self) -> Any:
        if self.context:
            rehome(self.context)
        if not self.on_single_thread:
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
        # The caller is inside an except block. So is the function: a bare "raise" works in it.
        traceback = handled.__traceback__
        try:
            raise handled
        except BaseException:
            handled.__traceback__ = traceback
            return self._func(*self._args, **self._kwargs)

    # -- on the loop ----------------------------------------------------------------------------

    def __await__(self) -> Generator[Call, None, Any]:
        """Wait for the thread; return the function's result, or raise its exception."""
        if not self.arrived:
            self._asyncio_future_blocking = True
            try:
                yield self
            except CancelledError:
                if not self._forward_cancellation():
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
        """Keep the call from starting. Returns False if it has started already."""
        withdrawn: bool = self._ticket.acquire(False)
        return withdrawn

    def _forward_cancellation(self) -> bool:
        """The caller is cancelled: cancel the coroutine that the function waits for.

        :returns: False if there is none, so the caller continues at once.
        """
        if not self.must_run and self.withdraw():
            return False
        if self.arrived:
            self.abandoned = True
            self._log_error()
            return False
        self.cancellation_pending = True  # first: a coroutine that starts now reads it
        waits_for = self.waits_for
        if waits_for is not None:
            waits_for.cancel_if_pending()
            return True
        task = next(iter(self.tasks or ()), None)  # another thread may end it meanwhile
        if task is not None:
            self.cancellation_pending = False
            _cancel(task, self.loop)
            return True
        self.abandoned = True
        return False

    def _await_unwinding(self) -> Generator[Call, None, None]:
        self._asyncio_future_blocking = True
        try:
            yield self
        except CancelledError:
            self.abandoned = True  # a second cancellation: the caller does not wait any longer
            raise

    def _arrive(self) -> None:
        self.arrived = True
        wake, self._wake = self._wake, None
        if wake is not None:
            self._wake_context.run(wake, self)
        elif self.abandoned and self.error is not None:
            self._log_error()

    def _log_error(self) -> None:
        """Log an ordinary exception that no caller waits for."""
        error, self.error = self.error, None
        if isinstance(error, Exception):
            logger.error("%r failed after its caller was cancelled", self._func, exc_info=error)

    # -- on the loop: the interface of a future, for the caller's task ----------------------------

    def get_loop(self) -> AbstractEventLoop:
        return self.loop

    def add_done_callback(self, wake: Callable[[Call], object], *, context: Context) -> None:
        self._wake = wake
        self._wake_context = context

    def result(self) -> None:
        """Called by the woken task, which gets the outcome from ``await``."""
        cancelled, self._cancelled = self._cancelled, None
        if cancelled is not None:
            raise cancelled

    def cancel(self, msg: object = None) -> bool:
        """Wake the task with a ``CancelledError``: it is being cancelled."""
        wake, self._wake = self._wake, None
        if wake is None:
            return False
        self._cancelled = CancelledError() if msg is None else CancelledError(msg)
        self.loop.call_soon(wake, self, context=self._wake_context)
        return True


Call.made_as = Call


def _cancel(task: Task[Any], loop: AbstractEventLoop) -> None:
    """Cancel a task, which may run on another loop. On the thread of ``loop``."""
    home = task.get_loop()
    if home is loop:
        task.cancel()
    else:
        home.call_soon_threadsafe(task.cancel)
