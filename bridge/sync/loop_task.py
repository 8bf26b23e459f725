"""A coroutine that runs on an event loop, and the sync thread that waits for it.

The thread makes a :class:`LoopTask` of an awaitable. The coroutine runs as one task, in a copy of
the thread's context, which the thread adopts when the coroutine has ended. The result or exception
is returned or raised on the thread.

Rule 1. The side that acquires the ticket decides where the coroutine starts: if it is the loop, it
        starts there; if it is the waiting thread, which has found the loop stopped, it starts on
        another loop.
Rule 2. The task writes ``_result`` or ``_error``, then notifies the thread, which reads them.
Rule 3. The waiting thread polls every second whether the loop is still running. It never waits on
        for a loop that has stopped: it moves the coroutine, or fails.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from asyncio import AbstractEventLoop, CancelledError, Task
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextvars import copy_context
from time import monotonic
from typing import Any

from bridge._threads import loop_choice, process
from bridge._threads.asgiref_state import (
    CALL,
    TASKS,
    WAITING_VARIABLE,
    calls_for,
    executor_waiting_here,
    loop_of_this_thread,
    rehome,
    set_executor_waiting_here,
    tasks_of_this_thread,
    this_thread,
)
from bridge._threads.context import ManagerContext, adopt
from bridge._threads.locks import GreenletMutex, RealLock
from bridge._threads.loop_inbox import inbox_of
from bridge._threads.loop_thread import LoopThread, acquire_loop, start_task
from bridge._threads.own_threads import OwnThread
from bridge.errors import DeadlockError
from bridge.sync.calls import Call
from bridge.sync.waiting_thread import WaitingThread
from bridge.types import LoopFactory

__all__ = ["LoopTask", "kept_loop", "refuse_on_loop"]

POLL_S = 1.0
STOPPED_POLLS = 3
"""How many polls in a row may find the loop stopped, once the coroutine has started on it."""
EXIT_JOIN_S = 5.0


def refuse_on_loop() -> None:
    """:raises DeadlockError: an event loop runs on this thread: waiting here would stop it."""
    if asyncio._get_running_loop() is not None:
        raise DeadlockError(
            "You cannot use async_to_sync in the same thread as an async event loop - "
            "just await the async function directly."
        )


def _own_call() -> Call | None:
    """The call that runs on this thread, if it is ours and no call of asgiref's runs inside it."""
    here = this_thread.__dict__
    call: Call | None = here.get(CALL)
    return None if call is None or call.tasks is not here.get(TASKS) else call


class LoopTask:
    """One coroutine. ``_on_*`` methods run on its loop, the others on the thread that waits."""

    __slots__ = (
        "_awaitable",
        "_call",
        "_context",
        "_error",
        "_handled",
        "_loop",
        "_loop_factory",
        "_new_loop_end",
        "_outer",
        "_result",
        "_task",
        "_tasks",
        "_ticket",
        "_waiting",
        "ended",
    )

    def __init__(self, awaitable: Awaitable[Any], loop_factory: LoopFactory | None) -> None:
        self._awaitable = awaitable
        self._loop_factory = loop_factory
        self._outer = executor_waiting_here()
        self._waiting = WaitingThread(self._outer)
        self._context = copy_context()
        self._handled = sys.exception()
        self._call: Call | None = None  # while this thread waits
        self._tasks = None if _own_call() else tasks_of_this_thread()
        self._ticket = RealLock()
        self._loop: AbstractEventLoop | None = None
        self._task: Task[None] | None = None
        self._new_loop_end: asyncio.Future[None] | None = None
        self._result: Any = None
        self._error: BaseException | None = None
        self.ended = False

    # -- starting -------------------------------------------------------------------------------

    def start(self) -> None:
        """Start on the loop that called this thread, or else on the kept loop."""
        if not self.start_on_calling_loop():
            self.start_on_kept_loop()

    def start_on_calling_loop(self) -> bool:
        """Returns False if no loop called this thread, or if it has stopped since."""
        loop = loop_of_this_thread()
        return loop is not None and self._post_to(loop)

    def start_on_kept_loop(self) -> None:
        self._post_to(kept_loop(self._loop_factory))

    def _post_to(self, loop: AbstractEventLoop) -> bool:
        self._loop = loop
        return inbox_of(loop).post(self._on_start)

    def run_on_new_loop(self, executor: Executor | None) -> None:
        """Run to the end on a new loop, in ``executor`` or else in a new thread."""
        if executor is not None:
            executor.submit(self._run_new_loop)
            self.wait()
            return
        thread = OwnThread(target=self._run_new_loop, name="bridge-new-loop", daemon=True)
        thread.start()
        self.wait()
        thread.join()

    def _run_new_loop(self) -> None:
        """On the thread of the new loop."""
        try:
            loop_choice.run(self._on_new_loop, self._loop_factory)
        except BaseException as error:
            self._error = self._error or error
            self._end_if_unstarted()
        self._waiting.notify(ended=True)

    # -- waiting --------------------------------------------------------------------------------

    def register_wait(self) -> None:
        """Register with the call that runs on this thread as what it waits for.

        Done before the coroutine starts or continues: a caller that is cancelled after that waits
        until coroutine and function have unwound.
        """
        self._call = call = _own_call()  # an iteration may continue in another call
        if call is not None:
            call.waits_for = self

    def _unregister_wait(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.waits_for = None

    def wait(self) -> None:
        """Run what the coroutine sends to this thread, until it notifies or ends.

        Call :meth:`register_wait` before.

        :raises DeadlockError: its loop has stopped.
        :raises BaseException: an exception of a signal handler; see :meth:`unwind`.
        """
        stopped_polls = 0
        try:
            while not self._waiting.run_jobs(POLL_S):
                loop = self._loop
                if loop is None or loop.is_running():
                    stopped_polls = 0
                else:
                    stopped_polls += 1
                    self._move_or_fail(loop, stopped_polls)
        finally:
            self._unregister_wait()

    def wait_again(self) -> None:
        """:meth:`wait` for a coroutine that started before: the caller may be cancelled by now."""
        self.register_wait()
        if self._call is not None and self._call.cancellation_pending:
            self.cancel_if_pending()
        self.wait()

    def _move_or_fail(self, loop: AbstractEventLoop, stopped_polls: int) -> None:
        """The loop has stopped: start on the kept loop, unless the coroutine has started."""
        if self._ticket.acquire(False):
            self._ticket.release()
            self.start_on_kept_loop()
        elif loop.is_closed() or stopped_polls >= STOPPED_POLLS:
            self._waiting.close()
            raise DeadlockError(
                f"{self._awaitable!r} runs on an event loop that has been stopped, and this thread "
                "waits for it. The code that runs the loop must await the sync code before stopping"
            )

    def unwind(self) -> None:
        """After an exception of a signal handler: cancel the coroutine and wait for it to unwind.

        :raises BaseException: an exception of a second signal handler, at once.
        """
        self.register_wait()
        try:
            if self._loop is None:
                self._end_if_unstarted()  # no loop could be made
            self.cancel()
            while not self.ended and self._loop is not None and self._loop.is_running():
                self._waiting.run_jobs(POLL_S)
        finally:
            self._unregister_wait()
            self._waiting.close()

    def finish(self) -> None:
        """Run what the coroutine has sent to this thread since the last wait, until it ends."""
        while not self._waiting._broken:
            self.register_wait()
            self.wait()

    def outcome(self) -> Any:
        """Wait for the end, adopt the context, and return the result or raise the exception."""
        if not self._waiting._broken:
            self.finish()
        self._adopt_context()
        return self.result()

    def result(self) -> Any:
        """The result or the exception of a coroutine that has ended. Call it once."""
        error, self._error = self._error, None
        if error is None:
            return self._result
        try:
            raise error
        finally:
            del error  # its traceback holds this frame: break the cycle

    def manager_context(self) -> ManagerContext:
        """For a coroutine that enters and exits a manager: its context, beside that of the body."""
        return ManagerContext(self._context, but=WAITING_VARIABLE)

    def _adopt_context(self) -> None:
        adopt(self._context, but=WAITING_VARIABLE)
        if WAITING_VARIABLE is None:
            set_executor_waiting_here(self._outer)

    # -- from any thread ------------------------------------------------------------------------

    def post(self, callback: Callable[[], object]) -> None:
        """Run a callback on the coroutine's loop. Never blocks."""
        if self._loop is not None:
            inbox_of(self._loop).post(callback)

    def notify(self) -> None:
        """Let :meth:`wait` return although the coroutine has not ended. From the coroutine."""
        self._waiting.notify(ended=False)

    def cancel(self) -> None:
        """Cancel the coroutine. Never blocks."""
        self.post(self._on_cancel)

    def cancel_if_pending(self) -> None:
        """Cancel the coroutine if the caller of the function that waits for it was cancelled."""
        self.post(self._on_cancel_if_pending)

    def abandon(self) -> None:
        """Cancel the coroutine without waiting for it. Also from a finalizer."""
        if self._loop is None:
            self._end_if_unstarted()  # it was never posted to a loop
        self.cancel()
        self._waiting.close()

    def _end_if_unstarted(self) -> None:
        if self._ticket.acquire(False):
            self._on_end(None)

    def can_wait_here(self) -> bool:
        """Whether the coroutine has started, and this is the thread that started it."""
        here = threading.current_thread()
        is_here = self._waiting._work_thread is here and asyncio._get_running_loop() is None
        return is_here and self._loop is not None

    # -- on the loop's thread -------------------------------------------------------------------

    def _on_start(self) -> None:
        if not self._ticket.acquire(False):
            return
        self._loop = loop = asyncio.get_running_loop()
        try:
            self._context.run(self._on_enter_context)
            if loop.get_task_factory() is None:
                start_task(loop, self._on_run(), self._context)
                return
            self._task = loop.create_task(self._on_run(), context=self._context)
            self._task.add_done_callback(self._on_end)
        except BaseException as error:  # from a user's task factory
            self._error = error
            self._on_end(None)

    def _on_enter_context(self) -> None:
        rehome(self._context)
        set_executor_waiting_here(self._waiting)

    async def _on_run(self) -> None:
        self._task = task = asyncio.current_task()
        assert task is not None
        if self._tasks is not None:
            self._tasks.append(task)
        self._on_cancel_if_pending()
        try:
            if self._handled is None:
                self._result = await self._awaitable
            else:
                self._result = await self._on_run_handling(self._handled)
        except BaseException as error:  # SystemExit, too: for the waiting thread, not for the loop
            self._error = error
        finally:
            if self._tasks is not None:
                self._tasks.remove(task)
            if isinstance(self._error, GeneratorExit):  # in a finalizer, which must take no lock
                self.post(self._end)
            else:
                self._end()

    async def _on_run_handling(self, handled: BaseException) -> Any:
        """Await it in an except block, because the waiting thread is in one."""
        traceback = handled.__traceback__
        try:
            raise handled
        except BaseException:
            handled.__traceback__ = traceback
            return await self._awaitable

    def _on_end(self, task: Task[None] | None) -> None:
        """End a task that did not: it failed to start, or was cancelled before its first step."""
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
        if self._new_loop_end is None:
            self._waiting.notify(ended=True)
        elif not self._new_loop_end.done():
            self._new_loop_end.set_result(None)

    def _on_cancel(self) -> None:
        self._end_if_unstarted()
        if self._task is not None:
            self._task.cancel()

    def _on_cancel_if_pending(self) -> None:
        call = self._call
        if call is not None and call.cancellation_pending and not self.ended:
            call.cancellation_pending = False
            self._on_cancel()

    async def _on_new_loop(self) -> None:
        loop = asyncio.get_running_loop()
        self._new_loop_end = loop.create_future()
        with calls_for(loop, self._waiting):
            loop.call_soon(self._on_start)  # not directly: this runs inside a task
            await self._new_loop_end


# -- the kept loop: see ADR 3 ----------------------------------------------------------------------

_lock = GreenletMutex()
_kept: dict[LoopFactory | None, LoopThread] = {}


def kept_loop(factory: LoopFactory | None) -> AbstractEventLoop:
    """The running loop that the process keeps for ``async_to_sync`` where no loop called.

    It starts at the first call, in a thread that ``to_wsgi`` shares, and stops with the process. A
    forked child starts its own. From any thread but that one.

    :param factory: makes the loop; the process keeps one for each. None for the usual one.
    :raises ConfigError: ``BRIDGE_LOOP`` is wrong.
    """
    thread = _kept.get(factory)
    if thread is None or not thread.is_alive():
        thread = _start_kept_loop(factory)
    return thread.loop


def _start_kept_loop(factory: LoopFactory | None) -> LoopThread:
    with _lock:
        thread = _kept.get(factory)
        if thread is None or not thread.is_alive():
            thread = _kept[factory] = acquire_loop(factory)
        return thread


def _stop_kept_loops() -> None:
    """At exit: cancel what still runs on the loops and let it unwind, for a bounded time."""
    alive = [thread for thread in _kept.copy().values() if thread.is_alive()]
    for thread in alive:
        thread.release()
    until = monotonic() + EXIT_JOIN_S
    for thread in alive:
        thread.join(max(until - monotonic(), 0))


def _forget_kept_loops() -> None:
    global _lock
    _lock = GreenletMutex()
    _kept.clear()


process.in_child(process.Fork.CALLS, _forget_kept_loops)
process.at_exit(process.Exit.KEPT_LOOP, _stop_kept_loops)
