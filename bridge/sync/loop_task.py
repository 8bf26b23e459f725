"""A coroutine that runs on an event loop for a thread that waits for it.

What enters: an awaitable, from a sync thread. What leaves: its result or exception, there. The
coroutine runs as one task, in a copy of the thread's context that the thread adopts in the end.

Rule 1. Who gets the ticket decides where the coroutine starts: the loop, and it starts there; or
        the waiting thread, which has seen that the loop stopped, and it starts on another one.
Rule 2. The task writes ``_result`` or ``_error``, then gives notice. The thread reads them after.
Rule 3. The waiting thread looks up every second. It never goes on waiting for a loop that has
        stopped: it moves the coroutine, or fails.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from asyncio import AbstractEventLoop, CancelledError, Task
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextvars import copy_context
from typing import Any

from bridge._threads.asgiref_state import (
    WAITING_VARIABLE,
    calls_for,
    current_call,
    executor_waiting_here,
    loop_of_this_thread,
    rehome,
    set_executor_waiting_here,
    tasks_of_this_thread,
)
from bridge._threads.context import ManagerContext, adopt
from bridge._threads.loop_inbox import inbox_of
from bridge._threads.loop_thread import start_task
from bridge._threads.real_threads import RealLock, RealThread
from bridge.errors import DeadlockError
from bridge.sync.caller import CallerThread
from bridge.sync.calls import Call
from bridge.sync.kept_loop import kept_loop

__all__ = ["LoopTask", "refuse_on_loop"]

LOOK_S = 1.0
LOOKS = 3
"""How often in a row the loop may be found stopped, once the coroutine has started on it."""


def refuse_on_loop() -> None:
    """:raises DeadlockError: an event loop runs on this thread: to wait here would stop it."""
    if asyncio._get_running_loop() is not None:
        raise DeadlockError(
            "You cannot use async_to_sync in the same thread as an async event loop - "
            "just await the async function directly."
        )


def _own_call() -> Call | None:
    """The call that runs on this thread, if it is ours, and not one of asgiref's further in."""
    call: Call | None = current_call()
    if call is None or call.tasks is not tasks_of_this_thread():
        return None
    return call


class LoopTask:
    """One coroutine and the thread that waits for it. All but ``_on_*`` runs on that thread."""

    __slots__ = (
        "_awaitable",
        "_call",
        "_caller",
        "_context",
        "_error",
        "_handled",
        "_loop",
        "_outer",
        "_over",
        "_result",
        "_task",
        "_tasks",
        "_ticket",
        "ended",
    )

    def __init__(self, awaitable: Awaitable[Any]) -> None:
        self._awaitable = awaitable
        self._outer = executor_waiting_here()
        self._caller = CallerThread(self._outer)
        self._context = copy_context()
        self._handled = sys.exception()
        self._call: Call | None = None  # while this thread waits
        self._tasks = None if _own_call() else tasks_of_this_thread()
        self._ticket = RealLock()
        self._loop: AbstractEventLoop | None = None
        self._task: Task[None] | None = None
        self._over: asyncio.Future[None] | None = None  # on a new loop: what its end waits for
        self._result: Any = None
        self._error: BaseException | None = None
        self.ended = False

    # -- beginning ------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start on the loop this thread was called from, or else on the one the process keeps."""
        if not self.begin_on_the_callers_loop():
            self.begin_on_the_kept_loop()

    def begin_on_the_callers_loop(self) -> bool:
        """False: there is no such loop, or it runs no more."""
        loop = loop_of_this_thread()
        return loop is not None and self._post_to(loop)

    def begin_on_the_kept_loop(self) -> None:
        self._post_to(kept_loop())

    def _post_to(self, loop: AbstractEventLoop) -> bool:
        self._loop = loop
        return inbox_of(loop).post(self._on_start)

    def run_on_new_loop(self, executor: Executor | None) -> None:
        """Run to the end on a loop of its own, in ``executor`` or else in a thread of its own.

        :raises DeadlockError: greenlets are in the place of threads.
        """
        if executor is not None:
            executor.submit(self._run_new_loop)
            self.wait()
            return
        thread = RealThread(target=self._run_new_loop, name="bridge-new-loop", daemon=True)
        thread.start()
        self.wait()
        thread.join()

    def _run_new_loop(self) -> None:
        """On the thread of the new loop."""
        try:
            asyncio.run(self._on_new_loop())
        except BaseException as error:
            self._error = self._error or error
        self._caller.notify(last=True)

    # -- waiting --------------------------------------------------------------------------------

    def wait(self) -> None:
        """Run what the coroutine sends back to this thread, until there is news of it.

        After :meth:`announce`, which see.

        :raises DeadlockError: its loop has stopped.
        :raises BaseException: what a signal handler raised; see :meth:`unwind`.
        """
        looks = 0
        try:
            while not self._caller.serve(LOOK_S):
                loop = self._loop
                looks = 0 if loop is None or loop.is_running() else looks + 1
                if looks and loop is not None:
                    self._leave(loop, looks)
        finally:
            self._go_on()

    def announce(self) -> None:
        """Tell the call that runs here what it waits for. Before the coroutine begins or goes on: a
        caller that is cancelled from then on waits until both have unwound.
        """
        self._call = call = _own_call()  # not always the same: an iteration goes on in the next one
        if call is not None:
            call.waits_for = self

    def wait_for_more(self) -> None:
        """As :meth:`wait`, for what began long ago: the caller may have been cancelled since."""
        self.announce()
        if self._call is not None and self._call.owes_cancellation:
            self.cancel_owed()
        self.wait()

    def _go_on(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.waits_for = None

    def _leave(self, loop: AbstractEventLoop, looks: int) -> None:
        if self._ticket.acquire(False):
            self._ticket.release()
            self.begin_on_the_kept_loop()
        elif loop.is_closed() or looks >= LOOKS:
            self._caller.close()
            raise DeadlockError(
                f"{self._awaitable!r} runs on an event loop that has been stopped, and this thread "
                "waits for it. Whoever runs the loop must await the sync code before stopping"
            )

    def unwind(self) -> None:
        """A signal handler raised here. Cancel the coroutine, and let it unwind first.

        :raises BaseException: what a second one raised, at once.
        """
        self.announce()
        try:
            self.cancel()
            while not self.ended and self._loop is not None and self._loop.is_running():
                self._caller.serve(LOOK_S)
        finally:
            self._go_on()
            self._caller.close()

    def give_notice(self) -> None:
        """Let the waiting thread go on, though the coroutine has not ended. From the coroutine."""
        self._caller.notify(last=False)

    def post(self, callback: Callable[[], object]) -> None:
        """Run a callback on the coroutine's loop. From any thread; returns at once."""
        if self._loop is not None:
            inbox_of(self._loop).post(callback)

    def abandon(self) -> None:
        """Cancel the coroutine without waiting for it. From any thread, a finalizer too."""
        if self._loop is None and self._ticket.acquire(False):
            self._on_end(None)  # no loop has ever heard of it
        self.cancel()
        self._caller.close()

    def may_be_waited_for(self) -> bool:
        """Whether it has begun, and this is the thread that began it."""
        here = threading.current_thread()
        is_here = self._caller._work_thread is here and asyncio._get_running_loop() is None
        return is_here and self._loop is not None

    def twin_context(self) -> ManagerContext:
        """For a coroutine that is entered and left: its context, beside that of the body."""
        return ManagerContext(self._context, but=WAITING_VARIABLE)

    def adopt(self) -> None:
        """See, on the waiting thread, what the coroutine has set in context variables."""
        adopt(self._context, but=WAITING_VARIABLE)
        if WAITING_VARIABLE is None:
            set_executor_waiting_here(self._outer)

    def cancel(self) -> None:
        """Cancel the coroutine. From any thread; returns at once."""
        self.post(self._on_cancel)

    def cancel_owed(self) -> None:
        """Cancel it for the call that runs on the waiting thread, whose caller was cancelled."""
        self.post(self._on_cancel_owed)

    def finish(self) -> None:
        """The coroutine has ended, maybe while this thread did something else: run what it has
        sent back since. On the waiting thread.
        """
        while not self._caller._broken:
            self.announce()
            self.wait()

    def outcome(self) -> Any:
        """The coroutine's result, or raises what it raised."""
        if not self._caller._broken:
            self.finish()
        self.adopt()
        return self.result()

    def result(self) -> Any:
        """As :meth:`outcome`, once, of a coroutine that has ended; adopts no context."""
        error, self._error = self._error, None
        if error is None:
            return self._result
        try:
            raise error
        finally:
            del error  # its traceback holds this frame: break the cycle

    # -- on the loop's thread -------------------------------------------------------------------

    def _on_start(self) -> None:
        if not self._ticket.acquire(False):
            return
        self._loop = loop = asyncio.get_running_loop()
        try:
            self._context.run(self._on_enter)
            if loop.get_task_factory() is None:
                start_task(loop, self._on_run(), self._context)
                return
            self._task = loop.create_task(self._on_run(), context=self._context)
            self._task.add_done_callback(self._on_end)
        except BaseException as error:  # from a task factory of the user's
            self._error = error
            self._on_end(None)

    def _on_enter(self) -> None:
        rehome(self._context)
        set_executor_waiting_here(self._caller)

    async def _on_run(self) -> None:
        self._task = task = asyncio.current_task()
        assert task is not None
        if self._tasks is not None:
            self._tasks.append(task)
        self._on_cancel_owed()
        try:
            if self._handled is None:
                self._result = await self._awaitable
            else:
                self._result = await self._on_run_handling(self._handled)
        except (
            BaseException
        ) as error:  # SystemExit, too: it is the waiting thread's, not the loop's
            self._error = error
        finally:
            if self._tasks is not None:
                self._tasks.remove(task)
            if isinstance(self._error, GeneratorExit):  # by a finalizer, which must take no lock
                self.post(self._end)
            else:
                self._end()

    async def _on_run_handling(self, handled: BaseException) -> Any:
        """The waiting thread is inside an except block: so is the coroutine."""
        traceback = handled.__traceback__
        try:
            raise handled
        except BaseException:
            handled.__traceback__ = traceback
            return await self._awaitable

    def _on_end(self, task: Task[None] | None) -> None:
        """Once more, for a task that was cancelled before its first step."""
        if self.ended:
            return
        if self._error is None:
            self._error = CancelledError()
        close = getattr(self._awaitable, "close", None)
        if close is not None:
            close()
        self._end()

    def _end(self) -> None:
        self.ended = True
        if self._over is None:
            self._caller.notify(last=True)
        elif not self._over.done():
            self._over.set_result(None)

    def _on_cancel(self) -> None:
        if self._ticket.acquire(False):
            self._on_end(None)
        elif self._task is not None:
            self._task.cancel()

    def _on_cancel_owed(self) -> None:
        call = self._call
        if call is not None and call.owes_cancellation and not self.ended:
            call.owes_cancellation = False
            self._on_cancel()

    async def _on_new_loop(self) -> None:
        loop = asyncio.get_running_loop()
        self._over = loop.create_future()
        with calls_for(loop, self._caller):
            loop.call_soon(self._on_start)  # not here: this is inside of a task
            await self._over
