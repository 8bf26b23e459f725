"""`sync_to_async`: a sync function as a coroutine function.

The function runs on the thread that :mod:`bridge.sync.thread_sensitive` chooses or, with
``thread_sensitive=False``, on a thread of a pool.
"""

from __future__ import annotations

import functools
from asyncio import get_running_loop
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextvars import Context
from typing import Any, Generic, ParamSpec, TypeVar, overload

from asgiref.sync import iscoroutinefunction, markcoroutinefunction

from bridge.errors import ConfigError
from bridge.sync.calls import Call
from bridge.sync.pools import poster_to
from bridge.sync.thread_sensitive import post_thread_sensitive

__all__ = ["SyncToAsync", "check_executor", "is_async", "sync_to_async"]

P = ParamSpec("P")
R = TypeVar("R")


class SyncToAsync(Generic[P, R]):
    """What :func:`sync_to_async` returns. A coroutine function, also as a method."""

    def __init__(
        self,
        func: Callable[P, R],
        thread_sensitive: bool = True,
        executor: Executor | None = None,
        context: Context | None = None,
    ) -> None:
        if not callable(func) or is_async(func):
            raise TypeError("sync_to_async can only be applied to sync functions.")
        check_executor(thread_sensitive, executor)
        functools.update_wrapper(self, func)
        self.func = func
        self.context = context
        self._post: Callable[[Call], None] = (
            post_thread_sensitive if thread_sensitive else poster_to(executor)
        )
        markcoroutinefunction(self)
        if hasattr(func, "__self__"):
            self.__self__ = func.__self__

    def __repr__(self) -> str:
        return f"sync_to_async({self.func!r})"

    def __get__(self, parent: Any, objtype: Any = None) -> Callable[..., Coroutine[Any, Any, R]]:
        return functools.update_wrapper(functools.partial(self.__call__, parent), self.func)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        call = Call.made_as(self.func, args, kwargs, self.context, get_running_loop())
        self._post(call)
        outcome: R = await call
        return outcome


def is_async(func: Any) -> bool:
    """Whether ``func`` is a coroutine function, or an object with an async ``__call__``."""
    call = getattr(func, "__call__", func)  # noqa: B004  # what it is, not whether
    return iscoroutinefunction(func) or iscoroutinefunction(call)


def check_executor(thread_sensitive: bool, executor: Any) -> None:
    """Check two options that several helpers have.

    :raises TypeError: there is an executor although ``thread_sensitive`` is True.
    :raises ConfigError: the workers of the executor are processes.
    """
    if executor is None:
        return
    if thread_sensitive:
        raise TypeError("executor must not be set when thread_sensitive is True")
    if type(executor).__name__ == "ProcessPoolExecutor":
        raise ConfigError("executor", executor, "threads: a call cannot cross processes")


@overload
def sync_to_async(
    *,
    thread_sensitive: bool = True,
    executor: Executor | None = None,
    context: Context | None = None,
) -> Callable[[Callable[P, R]], Callable[P, Coroutine[Any, Any, R]]]: ...


@overload
def sync_to_async(
    func: Callable[P, R],
    *,
    thread_sensitive: bool = True,
    executor: Executor | None = None,
    context: Context | None = None,
) -> Callable[P, Coroutine[Any, Any, R]]: ...


def sync_to_async(
    func: Callable[P, R] | None = None,
    *,
    thread_sensitive: bool = True,
    executor: Executor | None = None,
    context: Context | None = None,
) -> (
    Callable[[Callable[P, R]], Callable[P, Coroutine[Any, Any, R]]]
    | Callable[P, Coroutine[Any, Any, R]]
):
    """Make a sync function awaitable: it runs on a thread while the event loop continues.

    >>> rows = await bridge.sync_to_async(cursor.fetchall)()  # doctest: +SKIP

    Also a decorator, with or without arguments, for functions and methods. It takes the arguments
    of asgiref's helper of the same name and shares its threads.

    The function sees the caller's context variables, asgiref ``Local`` data and current exception;
    the caller sees the variables and data that it changes. ``async_to_sync`` inside the function
    runs on the caller's loop.

    If the awaiting task is cancelled or times out, a call that has not started never does. A
    function that is running continues without the caller, and :func:`bridge.sync.cancelled` is True
    in it. If the function waits for a coroutine, that coroutine is cancelled instead, and the
    caller waits until the function has unwound.

    :param func: any callable that is not async. A generator function returns its generator without
        running it: use :func:`~bridge.iterate_in_threads`.
    :param thread_sensitive: run on the one thread that all thread-sensitive code of this caller
        uses, asgiref's included, one call at a time; :mod:`bridge.sync.thread_sensitive` lists the
        rules. False: run on any thread of a pool, at the same time as other calls.
    :param executor: with ``thread_sensitive=False``, the threads to use: a
        :func:`bridge.sync.pool` or other :class:`~bridge.WorkerPool`, a :func:`bridge.sync.limit`,
        or any ``concurrent.futures.Executor`` of threads. It is not shut down. By default a pool
        of ``min(32, cpus + 4)`` threads.
    :param context: run in this context instead of a copy of the caller's; nothing is copied back.
    :raises TypeError: ``func`` is async or not callable, or ``executor`` is set although
        ``thread_sensitive`` is True.
    :raises ConfigError: the workers of ``executor`` are processes.
    :raises DeadlockError: from a call: the thread that would run it waits for it, maybe through
        calls on other pools.
    :raises PoolSaturated: from a call: too many calls wait for the pool.
    :raises PoolClosed: from a call: the pool is shut down.
    """
    if func is None:
        return lambda func: SyncToAsync(func, thread_sensitive, executor, context)
    return SyncToAsync(func, thread_sensitive, executor, context)
