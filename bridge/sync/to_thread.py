"""`sync_to_async`: a sync function as a coroutine function.

What enters: calls, from coroutines. What leaves: their results. The function runs on the thread
that :mod:`bridge.sync.sensitive` chooses, or, with ``thread_sensitive=False``, on a pool's.
"""

from __future__ import annotations

import functools
from asyncio import get_running_loop
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextvars import Context
from typing import Any, Generic, ParamSpec, TypeVar, overload

from asgiref.sync import iscoroutinefunction, markcoroutinefunction

from bridge._threads.job import submit_or_discard
from bridge._threads.pool import WorkerPool
from bridge.errors import ConfigError
from bridge.sync.calls import Call
from bridge.sync.pools import Limit, default_pool
from bridge.sync.sensitive import post_thread_sensitive

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
            post_thread_sensitive if thread_sensitive else _poster_to(executor)
        )
        markcoroutinefunction(self)
        if hasattr(func, "__self__"):
            self.__self__ = func.__self__

    def __repr__(self) -> str:
        return f"sync_to_async({self.func!r})"

    def __get__(self, parent: Any, objtype: Any = None) -> Callable[..., Coroutine[Any, Any, R]]:
        return functools.update_wrapper(functools.partial(self.__call__, parent), self.func)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        call = Call(self.func, args, kwargs, self.context, get_running_loop())
        self._post(call)
        outcome: R = await call
        return outcome


def _poster_to(executor: Any) -> Callable[[Call], None]:
    """What runs a call on any thread of ``executor``; None means the bridge's own pool.

    :raises PoolSaturated: from what is returned: too many calls wait for the pool.
    """
    if executor is None:
        return _post_to_default_pool
    if isinstance(executor, WorkerPool):
        return functools.partial(_post_to_pool, executor)
    if isinstance(executor, Limit):
        return functools.partial(_post_to_limit, executor)
    return functools.partial(_submit_to, executor)


def _post_to_default_pool(call: Call) -> None:
    _post_to_pool(default_pool(), call)


def _submit_to(executor: Executor, call: Call) -> None:
    submit_or_discard(executor, call.run, call.discard)


def _post_to_limit(limit: Limit, call: Call) -> None:
    limit.post(call, call.loop)


def _post_to_pool(pool: WorkerPool, call: Call) -> None:
    call.settles = True
    pool.post(call, call.loop)


def is_async(func: Any) -> bool:
    """Whether ``func`` is a coroutine function, or an object with an async ``__call__``."""
    call = getattr(func, "__call__", func)  # noqa: B004  # what it is, not whether
    return iscoroutinefunction(func) or iscoroutinefunction(call)


def check_executor(thread_sensitive: bool, executor: Any) -> None:
    """
    :raises TypeError: the executor comes with ``thread_sensitive``.
    :raises ConfigError: its workers are processes.
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
    """Make a sync function awaitable: it runs on a worker thread, and the event loop goes on.

    Also a decorator, with or without arguments, for functions and methods.

    Context variables, asgiref ``Local`` data and the exception being handled are the caller's; what
    the function changes in them the caller sees. ``async_to_sync`` inside the function runs on the
    caller's loop.

    If the awaiting task is cancelled or times out, a call that waits for its turn never starts. One
    that runs goes on by itself, and :func:`bridge.sync.cancelled` tells it so; unless it waits for
    a coroutine: then that is cancelled, and the function's unwinding is awaited.

    :param func: any callable that is not async. A generator function gives its generator back
        unstarted: see :func:`~bridge.iterate_in_threads`.
    :param thread_sensitive: run on the thread that all thread-sensitive code of this caller runs
        on, asgiref's included, one call after the other; :mod:`bridge.sync.sensitive` says which.
        False: run on any thread of a pool, at the same time as others.
    :param executor: with ``thread_sensitive=False``, the threads to run on: a
        :class:`~bridge.WorkerPool`, a :func:`bridge.sync.limit`, or any
        ``concurrent.futures.Executor`` of threads. It stays the caller's to shut down.
    :param context: run in this context instead of a copy of the caller's; nothing is copied back.
    :raises TypeError: ``func`` is async or not callable, or ``executor`` comes with
        ``thread_sensitive``.
    :raises DeadlockError: when called: the thread it would run on waits for this call.
    :raises PoolSaturated: when called: too many calls wait for the pool.
    """
    if func is None:
        return lambda func: SyncToAsync(func, thread_sensitive, executor, context)
    return SyncToAsync(func, thread_sensitive, executor, context)
