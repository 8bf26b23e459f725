"""Context managers across the border: a sync one for async code, an async one for sync code.

What enters: a context manager of one kind. What leaves: one of the other.

Rule 1. Entering and leaving happen on one thread, or in one task: locks, transactions and cancel
        scopes need that. They happen in one context, which sees what the body sets.
Rule 2. What was entered is left, even if nobody waits for it any more: a cancelled caller's
        ``__exit__`` still runs, and one whose ``__enter__`` ends after the cancellation is left at
        once, on its thread.
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
from bridge._threads.real_threads import RealLock
from bridge.sync.calls import Call, settle_cancellation
from bridge.sync.loop_task import LoopTask, refuse_on_loop
from bridge.sync.reserved_thread import ReservedThread
from bridge.sync.sensitive import post_thread_sensitive
from bridge.sync.to_thread import check_executor

__all__ = ["enter_in_loop", "enter_in_threads"]

T = TypeVar("T")

_ExcInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]


def enter_in_threads(
    manager: AbstractContextManager[T],
    *,
    thread_sensitive: bool = True,
    executor: Executor | None = None,
) -> AbstractAsyncContextManager[T, bool | None]:
    """Use a sync context manager from async code, entered and left on one worker thread.

    >>> async with bridge.enter_in_threads(transaction.atomic()):  # doctest: +SKIP
    ...     await bridge.sync_to_async(order.save)()

    :param manager: what ``with`` takes.
    :param thread_sensitive: where thread-sensitive ``sync_to_async`` calls run, so that what is
        entered holds for them. False: keep one thread of a pool until it is left.
    :param executor: with ``thread_sensitive=False``, the pool whose thread is kept.
    :raises TypeError: ``manager`` is no context manager, or ``executor`` comes with
        ``thread_sensitive``.
    """
    check_executor(thread_sensitive, executor)
    _require(manager, "enter_in_threads", "__enter__", "__exit__", "an async one needs no helper")
    return _InThreads(manager, thread_sensitive, executor)


class _InThreads(AbstractAsyncContextManager[T, bool | None]):
    def __init__(
        self, manager: AbstractContextManager[T], thread_sensitive: bool, executor: Executor | None
    ) -> None:
        self._manager = manager
        self._thread_sensitive = thread_sensitive
        self._executor = executor
        self._post: Callable[[Call], None] = post_thread_sensitive
        self._loop: AbstractEventLoop
        self._context: Context
        self._twin: ManagerContext
        self._lease: ReservedThread | None = None
        # Below: both sides. Who comes second, the thread with what it entered or the caller with
        # its cancellation, sees to it that it is left.
        self._lock = RealLock()
        self._entered = False
        self._abandoned = False

    async def __aenter__(self) -> T:
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        self._twin = ManagerContext(self._context)
        if not self._thread_sensitive:
            self._lease = ReservedThread(self._executor, self._loop)
            self._post = self._lease.post
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
        self._twin.copy_to_body()
        return value

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        self._twin.copy_to_manager(copy_context())
        call = self._call(self._on_thread_exit, (exc_type, exc, traceback), must_run=True)
        self._release()
        if asyncio._get_running_loop() is None:
            call.abandoned = True  # dropped with its loop: nobody can wait
            return None
        try:
            suppress: bool | None = await call
        finally:
            if not call.abandoned:
                self._twin.copy_after_exit()
        return suppress

    def _call(self, func: Callable[..., Any], args: tuple[Any, ...], *, must_run: bool) -> Call:
        call = Call(func, args, {}, self._context, self._loop)
        call.must_run = must_run
        self._post(call)
        return call

    def _release(self) -> None:
        """The thread is not needed after what is posted to it already."""
        if self._lease is not None:
            self._lease.release()
            self._lease = None

    # -- on the thread --------------------------------------------------------------------------

    def _on_thread_enter(self) -> T:
        value = self._manager.__enter__()
        with self._lock:
            self._entered = True
            abandoned = self._abandoned
        if abandoned:
            settle_cancellation()  # the caller's, not that of what leaving may wait for
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
    manager: AbstractAsyncContextManager[T],
) -> AbstractContextManager[T, bool | None]:
    """Use an async context manager from sync code, on the loop that ``async_to_sync`` would use.

    >>> with bridge.enter_in_loop(httpx.AsyncClient()) as client:  # doctest: +SKIP
    ...     page = bridge.async_to_sync(client.get)(url)

    It is entered and left in one task, as task groups, timeouts and cancel scopes need it. While
    it is entered or left, this thread runs the thread-sensitive sync code that it calls; what its
    tasks call in between, too, when the body waits in one of the bridge's helpers, or at the end.

    :param manager: what ``async with`` takes.
    :raises TypeError: ``manager`` is no async context manager.
    :raises DeadlockError: when entered or left: an event loop runs on this very thread.
    """
    _require(manager, "enter_in_loop", "__aenter__", "__aexit__", "a sync one needs no helper")
    return _InLoop(manager)


class _InLoop(AbstractContextManager[T, bool | None]):
    def __init__(self, manager: AbstractAsyncContextManager[T]) -> None:
        self._manager = manager
        self._task: LoopTask
        self._twin: ManagerContext
        self._value: T
        self._left: asyncio.Future[BaseException | None]

    def __enter__(self) -> T:
        refuse_on_loop()
        self._task = LoopTask(self._on_loop())
        self._task.announce()
        try:
            self._task.begin()
            self._task.wait()
        except BaseException:  # from a signal handler
            self._task.unwind()
            raise
        if self._task.ended:
            self._task.outcome()
        self._twin = self._task.twin_context()
        self._twin.copy_to_body()
        return self._value

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        refuse_on_loop()
        body = copy_context()
        self._task.announce()
        self._task.post(lambda: self._on_left(body, exc))
        try:
            self._task.finish()
        except BaseException:  # from a signal handler
            self._task.unwind()
            raise
        self._twin.copy_after_exit()
        try:
            suppress: bool = self._task.result()
        except BaseException as error:
            if error is not exc:
                raise
            error.__traceback__ = traceback
            return False
        return suppress

    def _on_left(self, body: Context, exc: BaseException | None) -> None:
        if not self._left.done():
            self._twin.copy_to_manager(body)
            self._left.set_result(exc)

    async def _on_loop(self) -> bool:
        """The whole ``async with``, in one task: its body is to wait for the sync code's."""
        self._left = asyncio.get_running_loop().create_future()
        manager = type(self._manager)
        self._value = await manager.__aenter__(self._manager)
        self._task.give_notice()
        try:
            error = await self._left
        except BaseException as cancellation:
            if await manager.__aexit__(self._manager, *_exc_info(cancellation)):
                return True
            raise
        # Not raised here: a coroutine cannot raise StopIteration.
        suppress = await manager.__aexit__(self._manager, *_exc_info(error))
        return error is not None and bool(suppress)


def _exc_info(error: BaseException | None) -> _ExcInfo:
    return (None, None, None) if error is None else (type(error), error, error.__traceback__)


def _require(manager: object, helper: str, enter: str, leave: str, hint: str) -> None:
    kind = type(manager)
    if hasattr(kind, enter) and hasattr(kind, leave):
        return
    other = "__aenter__" if enter == "__enter__" else "__enter__"
    hint = f"; {hint}" if hasattr(kind, other) else ""
    raise TypeError(f"{helper} takes an object with {enter} and {leave}, not {manager!r}{hint}")
