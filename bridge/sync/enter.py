"""Context managers: a sync one in async code, an async one in sync code.

Rule 1. A manager is entered and exited on one thread, or in one task: locks, transactions and
        cancel scopes need that. Both happen in one context, which sees what the body sets.
Rule 2. Every ``__enter__`` gets its ``__exit__``, even after cancellation: the exit of a cancelled
        caller still runs, and a manager whose ``__enter__`` returns after the cancellation is
        exited at once, on its thread.
"""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop, CancelledError
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from contextvars import Context, copy_context
from types import TracebackType
from typing import Any, TypeVar

from bridge._threads.context import ManagerContext
from bridge._threads.locks import RealMutex
from bridge.config import check_loop_factory
from bridge.sync.calls import Call, clear_pending_cancellation
from bridge.sync.loop_task import LoopTask, refuse_on_loop
from bridge.sync.reserved_thread import ReservedThread
from bridge.sync.thread_sensitive import post_thread_sensitive
from bridge.sync.to_thread import check_executor
from bridge.types import LoopFactory

__all__ = ["enter_in_loop", "enter_in_threads"]

T = TypeVar("T")

_ExcInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]


def enter_in_threads(
    manager: AbstractContextManager[T],
    *,
    thread_sensitive: bool = True,
    executor: Executor | None = None,
) -> AbstractAsyncContextManager[T, bool | None]:
    """Use a sync context manager in async code: it is entered and exited on one worker thread.

    >>> async with bridge.enter_in_threads(transaction.atomic()):  # doctest: +SKIP
    ...     await bridge.sync_to_async(order.save)()

    The body sees the context variables that ``__enter__`` sets, and ``__exit__`` sees those of the
    body. An exception of the body is passed to ``__exit__``, which may suppress it. A task that is
    cancelled while ``__enter__`` or ``__exit__`` runs does not wait for it; ``__exit__`` runs all
    the same.

    :param manager: a sync context manager, such as a lock or a database transaction.
    :param thread_sensitive: use the thread of thread-sensitive ``sync_to_async`` calls, so they run
        inside the manager. False: reserve a thread of a pool until the exit.
    :param executor: with ``thread_sensitive=False``, the pool whose thread is reserved. By default
        one of 128 threads that only iterations and managers use.
    :raises TypeError: ``manager`` is not a sync context manager, or ``executor`` is set although
        ``thread_sensitive`` is True.
    :raises ConfigError: the workers of ``executor`` are processes.
    :raises DeadlockError: when entered: the thread to use waits for this code.
    :raises PoolSaturated: when entered: too many calls wait for the pool.
    """
    check_executor(thread_sensitive, executor)
    _require(manager, "enter_in_threads", "__enter__", "__exit__", "an async one needs no helper")
    return _InThreads(manager, thread_sensitive, executor)


class _InThreads(AbstractAsyncContextManager[T, bool | None]):
    """Methods named ``_on_thread_*`` run on the manager's thread."""

    def __init__(
        self, manager: AbstractContextManager[T], thread_sensitive: bool, executor: Executor | None
    ) -> None:
        self._manager = manager
        self._thread_sensitive = thread_sensitive
        self._executor = executor
        self._post: Callable[[Call], None] = post_thread_sensitive
        self._loop: AbstractEventLoop
        self._context: Context
        self._manager_context: ManagerContext
        self._reserved: ReservedThread | None = None
        # Below: both sides, under the lock. The later of the two, the thread that has entered and
        # the caller that is cancelled, starts the exit.
        self._lock = RealMutex()
        self._entered = False
        self._abandoned = False

    async def __aenter__(self) -> T:
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        self._manager_context = ManagerContext(self._context)
        if not self._thread_sensitive:
            self._reserved = ReservedThread(self._executor, self._loop)
            self._post = self._reserved.post
        try:
            return await self._enter()
        except BaseException:
            self._release()
            raise

    async def _enter(self) -> T:
        try:
            value: T = await self._call(self._on_thread_enter, (), must_run=False)
        except CancelledError as error:
            with self._lock:
                self._abandoned = True
                entered = self._entered
            if entered:
                self._call(self._on_thread_exit, _exc_info(error), must_run=True).abandoned = True
            raise
        self._manager_context.copy_to_body()
        return value

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        self._manager_context.copy_to_manager(copy_context())
        call = self._call(self._on_thread_exit, (exc_type, exc, traceback), must_run=True)
        self._release()
        if asyncio._get_running_loop() is None:
            call.abandoned = True  # finalized after its loop has stopped: nothing can await it
            return None
        try:
            suppress: bool | None = await call
        finally:
            if not call.abandoned:
                self._manager_context.copy_after_exit()
        return suppress

    def _call(self, func: Callable[..., Any], args: tuple[Any, ...], *, must_run: bool) -> Call:
        call = Call(func, args, {}, self._context, self._loop)
        call.must_run = must_run
        self._post(call)
        return call

    def _release(self) -> None:
        """Release the thread after the calls posted to it."""
        if self._reserved is not None:
            self._reserved.release()
            self._reserved = None

    def _on_thread_enter(self) -> T:
        value = self._manager.__enter__()
        with self._lock:
            self._entered = True
            abandoned = self._abandoned
        if abandoned:
            clear_pending_cancellation()  # it was meant for __enter__, not for __exit__
            self._on_thread_exit(*_exc_info(CancelledError()))
        return value

    def _on_thread_exit(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return self._manager.__exit__(exc_type, exc, traceback)


def enter_in_loop(
    manager: AbstractAsyncContextManager[T], *, loop_factory: LoopFactory | None = None
) -> AbstractContextManager[T, bool | None]:
    """Use an async context manager in sync code, on the loop that ``async_to_sync`` would use.

    >>> with bridge.enter_in_loop(httpx.AsyncClient()) as client:  # doctest: +SKIP
    ...     page = bridge.async_to_sync(client.get)(url)

    It is entered and exited in one task, which task groups, timeouts and cancel scopes require.
    The body sees the context variables that ``__aenter__`` sets, and ``__aexit__`` sees those of
    the body. An exception of the body is passed to ``__aexit__``, which may suppress it.

    This thread runs the thread-sensitive sync code that the manager calls: while it is entered or
    exited and, if a task of the manager calls it in between, while the body waits in
    ``async_to_sync``, ours or asgiref's, or while the thread has nothing else to do.

    :param manager: an async context manager, such as an HTTP client.
    :param loop_factory: makes the loop where none called, as in :func:`async_to_sync`.
    :raises TypeError: ``manager`` is not an async context manager.
    :raises ConfigError: ``loop_factory`` is not callable.
    :raises DeadlockError: when entered or exited: an event loop runs on this thread, or the loop of
        the manager has been stopped.
    """
    check_loop_factory(loop_factory)
    _require(manager, "enter_in_loop", "__aenter__", "__aexit__", "a sync one needs no helper")
    return _InLoop(manager, loop_factory)


class _InLoop(AbstractContextManager[T, bool | None]):
    """``_on_*`` methods run on the loop's thread."""

    def __init__(
        self, manager: AbstractAsyncContextManager[T], loop_factory: LoopFactory | None
    ) -> None:
        self._manager = manager
        self._loop_factory = loop_factory
        self._task: LoopTask
        self._manager_context: ManagerContext
        self._value: T
        self._body_error: asyncio.Future[BaseException | None]

    def __enter__(self) -> T:
        refuse_on_loop()
        self._task = LoopTask(self._on_loop(), self._loop_factory)
        self._task.register_wait()
        try:
            self._task.start()
            self._task.wait()
        except BaseException:  # of a signal handler
            self._task.unwind()
            raise
        if self._task.ended:
            self._task.outcome()
        self._manager_context = self._task.manager_context()
        self._manager_context.copy_to_body()
        return self._value

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        refuse_on_loop()
        body = copy_context()
        self._task.register_wait()
        self._task.post(lambda: self._on_body_end(body, exc))
        try:
            self._task.finish()
        except BaseException:  # of a signal handler
            self._task.unwind()
            raise
        self._manager_context.copy_after_exit()
        try:
            suppress: bool = self._task.result()
        except BaseException as error:
            if error is not exc:
                raise
            error.__traceback__ = traceback
            return False
        return suppress

    def _on_body_end(self, body: Context, exc: BaseException | None) -> None:
        if not self._body_error.done():
            self._manager_context.copy_to_manager(body)
            self._body_error.set_result(exc)

    async def _on_loop(self) -> bool:
        """The whole ``async with`` in one task, whose body waits for the end of the sync body."""
        self._body_error = asyncio.get_running_loop().create_future()
        manager = type(self._manager)
        self._value = await manager.__aenter__(self._manager)
        self._task.notify()
        try:
            error = await self._body_error
        except BaseException as cancellation:
            if await manager.__aexit__(self._manager, *_exc_info(cancellation)):
                return True
            raise
        # Not raised here: a coroutine cannot raise StopIteration.
        suppress = await manager.__aexit__(self._manager, *_exc_info(error))
        return error is not None and bool(suppress)


def _exc_info(error: BaseException | None) -> _ExcInfo:
    return (None, None, None) if error is None else (type(error), error, error.__traceback__)


def _require(manager: object, helper: str, enter: str, exit_: str, hint: str) -> None:
    kind = type(manager)
    if hasattr(kind, enter) and hasattr(kind, exit_):
        return
    other = "__aenter__" if enter == "__enter__" else "__enter__"
    hint = f"; {hint}" if hasattr(kind, other) else ""
    raise TypeError(f"{helper} takes an object with {enter} and {exit_}, not {manager!r}{hint}")
