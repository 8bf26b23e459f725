"""`async_to_sync`: a coroutine function as a sync function.

The coroutine runs as a task on an event loop of another thread. The calling thread waits, and
meanwhile runs the thread-sensitive sync code that the coroutine sends back to it.

The loop is the first of these that exists; asgiref makes the same choice, except for the last:

1. with ``force_new_loop``, or inside asgiref's ``AsyncSingleThreadContext``: a new one;
2. the loop that called this sync code, through ``sync_to_async`` or an adapter of bridge;
3. the loop that the process keeps: see ADR 3. With ``loop_factory``, the one that it has made.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, ParamSpec, TypeVar, overload

from bridge._threads.asgiref_state import single_thread_context_executor
from bridge.config import check_loop_factory
from bridge.errors import DeadlockError
from bridge.sync.loop_task import LoopTask, refuse_on_loop
from bridge.sync.to_thread import is_async
from bridge.types import LoopFactory

__all__ = ["AsyncToSync", "async_to_sync"]

P = ParamSpec("P")
R = TypeVar("R")


class AsyncToSync(Generic[P, R]):
    """What :func:`async_to_sync` returns. A sync callable, also as a method."""

    def __init__(
        self,
        awaitable: Callable[P, Awaitable[R]],
        force_new_loop: bool = False,
        loop_factory: LoopFactory | None = None,
    ) -> None:
        check_loop_factory(loop_factory)
        if not (callable(awaitable) and is_async(awaitable)):
            warnings.warn("async_to_sync was passed a non-async-marked callable", stacklevel=3)
        functools.update_wrapper(self, awaitable, updated=())  # without a coroutine function's mark
        self.awaitable = awaitable
        self.force_new_loop = force_new_loop
        self.loop_factory = loop_factory
        if hasattr(awaitable, "__self__"):
            self.__self__ = awaitable.__self__

    def __repr__(self) -> str:
        return f"async_to_sync({self.awaitable!r})"

    def __get__(self, parent: Any, objtype: Any = None) -> Callable[..., R]:
        return functools.update_wrapper(functools.partial(self.__call__, parent), self.awaitable)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        refuse_on_loop()
        task = LoopTask(self.awaitable(*args, **kwargs), self.loop_factory)
        task.register_wait()
        try:
            self._run(task)
        except DeadlockError:
            raise
        except BaseException:
            task.unwind()
            raise
        result: R = task.outcome()
        return result

    def _run(self, task: LoopTask) -> None:
        """Run to the end on the loop chosen by the rules above.

        :raises BaseException: an exception of a signal handler.
        """
        if self.force_new_loop:
            task.run_on_new_loop(single_thread_context_executor())
        elif task.start_on_calling_loop():
            task.wait()
        elif (executor := single_thread_context_executor()) is not None:
            task.run_on_new_loop(executor)
        else:
            task.start_on_kept_loop()
            task.wait()


@overload
def async_to_sync(
    *, force_new_loop: bool = False, loop_factory: LoopFactory | None = None
) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, R]]: ...


@overload
def async_to_sync(
    awaitable: Callable[P, Coroutine[Any, Any, R]],
    *,
    force_new_loop: bool = False,
    loop_factory: LoopFactory | None = None,
) -> Callable[P, R]: ...


@overload
def async_to_sync(
    awaitable: Callable[P, Awaitable[R]],
    *,
    force_new_loop: bool = False,
    loop_factory: LoopFactory | None = None,
) -> Callable[P, R]: ...


def async_to_sync(
    awaitable: Callable[P, Awaitable[R]] | None = None,
    *,
    force_new_loop: bool = False,
    loop_factory: LoopFactory | None = None,
) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, R]] | Callable[P, R]:
    """Make a coroutine function callable from sync code, which waits for its result.

    >>> page = bridge.async_to_sync(client.get)(url)  # doctest: +SKIP

    Also a decorator, with or without arguments, for functions and methods. It takes the arguments
    of asgiref's helper of the same name.

    The coroutine runs on the event loop that called the sync code: under ``sync_to_async``, or in a
    WSGI app behind :func:`~bridge.to_asgi`, that is the server's own loop. If no loop called it,
    the coroutine runs on one that the process keeps. So a client or connection that one call opens
    can be used in the next, from any thread. A task that the coroutine starts and does not await
    keeps running there; asgiref makes a loop for each call and cancels the task at its end.

    The calling thread waits. Meanwhile it runs the functions that the coroutine calls through
    thread-sensitive ``sync_to_async``, ours or asgiref's. The coroutine sees the caller's context
    variables, asgiref ``Local`` data and current exception; the caller sees the variables and data
    that it changes.

    ``KeyboardInterrupt``, or any other exception of a signal handler, cancels the coroutine and is
    raised when the coroutine has unwound; a second one is raised at once.

    :param awaitable: a coroutine function, or a callable that returns an awaitable.
    :param force_new_loop: run each call on a new loop in a new thread, which end with the call. It
        is asyncio's, as with asgiref, unless ``BRIDGE_LOOP`` or ``loop_factory`` makes another.
    :param loop_factory: makes the loop where none called: the process keeps one for each factory,
        shared with the apps behind ``to_wsgi`` with the same one. By default ``BRIDGE_LOOP`` names
        it, or else it is uvloop's where that is installed.
    :raises ConfigError: ``loop_factory`` is not callable; from a call: ``BRIDGE_LOOP`` is wrong.
    :raises DeadlockError: from a call: an event loop runs on the calling thread, or the loop that
        runs the coroutine has been stopped.
    """
    if awaitable is None:
        return lambda awaitable: AsyncToSync(awaitable, force_new_loop, loop_factory)
    return AsyncToSync(awaitable, force_new_loop, loop_factory)
