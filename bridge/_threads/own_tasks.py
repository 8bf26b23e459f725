"""Tasks of bridge itself, made without the loop's task factory.

The factory is the app's, and may raise: ``asyncio.eager_task_factory`` does so under some versions
of uvloop. Startup and shutdown must not depend on it.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, Task
from collections.abc import Coroutine
from concurrent.futures import Future
from contextvars import Context
from typing import Any, TypeVar

__all__ = ["own_task", "run_threadsafe"]

T = TypeVar("T")


def own_task(
    coroutine: Coroutine[Any, Any, T],
    loop: AbstractEventLoop,
    *,
    name: str,
    context: Context | None = None,
) -> Task[T]:
    """A task, in a copy of the current context by default. On the thread of the loop."""
    return Task(coroutine, loop=loop, name=name, context=context)


def run_threadsafe(coroutine: Coroutine[Any, Any, T], loop: AbstractEventLoop) -> Future[T]:
    """Run a coroutine on a loop, in an empty context. From any other thread.

    :returns: its outcome. Cancelling that cancels the task.
    :raises RuntimeError: the loop is closed.
    """
    outcome: Future[T] = Future()

    def start() -> None:
        task = own_task(coroutine, loop, name="bridge-call", context=Context())
        task.add_done_callback(lambda task: _copy_outcome(task, outcome))
        outcome.add_done_callback(lambda _: loop.call_soon_threadsafe(task.cancel))

    loop.call_soon_threadsafe(start)
    return outcome


def _copy_outcome(task: Task[T], outcome: Future[T]) -> None:
    if task.cancelled():
        outcome.cancel()
    if not outcome.set_running_or_notify_cancel():
        return
    error = task.exception()
    if error is not None:
        outcome.set_exception(error)
    else:
        outcome.set_result(task.result())
