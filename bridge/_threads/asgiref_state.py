"""Everything private of asgiref that bridge relies on. No other module touches it.

Our helpers and asgiref's share their state, so a call made through ours and one made through
asgiref's (by Django's ORM, for instance) run on the same thread and find the same database
connection there. asgiref offers no interface for that. Each fact has one function or one name here.

Checked against asgiref 3.8.1, 3.9.2, 3.10.0, 3.11.1, 3.12.1 and 3.13.0: ``nox -s asgiref`` runs the
tests of the sync helpers on each. What came after 3.8 is used where it exists and not required:

========  ==========================================================================================
3.9       an executor of a waiting thread knows the one further out (``_old_executor``)
3.10      ``AsyncSingleThreadContext``
3.12      the data of a ``Local`` is tagged with the thread that owns it
3.13      ``ThreadSensitiveContext(executor=...)``, which can be entered once
========  ==========================================================================================

Rule 1. What sync code on a thread was called from is kept in one ``threading.local``
        (``SyncToAsync.threadlocal``): the event loop, its process, and the tasks to cancel with it.
Rule 2. The executor of the thread that waits for async code is kept in one ``Local``
        (``AsyncToSync.executors.current``), so in the context of that code.
Rule 3. Moving a context to another thread on purpose means moving the ownership of the ``Local``
        data in it (:func:`rehome`).
Rule 4. Two functions of asgiref are replaced in the whole process: one that lets a thread wait
        forever, and one that evaluates lazy objects on the event loop. The value of a variable may
        be such an object: it is compared by identity, and its type is read with ``type()``. Neither
        is replaced where it does not exist, or has other parameters.
"""

from __future__ import annotations

import os
import sys
from asyncio import AbstractEventLoop, CancelledError, Task
from collections.abc import Callable, Container, Coroutine, Generator, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import Context, ContextVar
from inspect import signature
from threading import Thread
from typing import Any, TypeVar, cast

from asgiref import local, sync
from asgiref.current_thread_executor import CurrentThreadExecutor
from asgiref.sync import AsyncToSync, SyncToAsync

from bridge._threads import process
from bridge._threads.own_threads import refuse_greenlets

__all__ = [
    "CALL",
    "LOCAL_VARIABLES",
    "LOOP",
    "LOOP_PID",
    "OCCUPIED",
    "TASKS",
    "THREAD_SENSITIVE_CONTEXT",
    "WAITING_VARIABLE",
    "CurrentThreadExecutor",
    "adopt_with",
    "calls_for",
    "context_executors",
    "current_call",
    "executor_served_by",
    "executor_serving",
    "executor_that_runs",
    "executor_waiting_here",
    "executors_waiting",
    "executors_waiting_on",
    "holds_locals",
    "is_waiting",
    "isolated",
    "loop_of_this_thread",
    "outer_executor",
    "owned",
    "queue_length",
    "refuse_exited",
    "rehome",
    "set_executor_waiting_here",
    "set_loop_of_this_thread",
    "shows_its_queue",
    "single_thread_context_executor",
    "single_thread_executor",
    "tasks_of_this_thread",
    "this_thread",
    "thread_of",
]

T = TypeVar("T")

# -- what a thread knows of the async code that called it (rule 1) ---------------------------------

this_thread: Any = SyncToAsync.threadlocal
"""What the current thread knows, in its ``__dict__``, under the keys below.

Code that enters a call saves a copy of the dict, and restores it with ``clear()`` and ``update()``,
in that order and with no Python function around them: a signal handler may raise where a function
begins, and what it leaves here would be taken by the next call on the thread.
"""

LOOP = "main_event_loop"
LOOP_PID = "main_event_loop_pid"
TASKS = "task_context"
CALL = "bridge_call"
"""Ours, among asgiref's keys: copying and restoring all of them is quicker than one by one."""


def set_loop_of_this_thread(loop: AbstractEventLoop) -> None:
    """Let ``async_to_sync`` on this thread, ours or asgiref's, use ``loop``."""
    this_thread.main_event_loop = loop
    this_thread.main_event_loop_pid = os.getpid()  # as asgiref compares it


def loop_of_this_thread() -> AbstractEventLoop | None:
    """The loop that the sync code on this thread was called from, if it is still running."""
    here = this_thread.__dict__
    loop: AbstractEventLoop | None = here.get(LOOP)
    if loop is None or not loop.is_running():
        return None
    pid = here.get(LOOP_PID)
    return loop if pid == process.pid or pid == os.getpid() else None  # ours, or asgiref's


def tasks_of_this_thread() -> list[Task[Any]] | None:
    """The tasks that this thread waits for; they are cancelled with the call that runs on it."""
    tasks: list[Task[Any]] | None = this_thread.__dict__.get(TASKS)
    return tasks


def current_call() -> Any:
    """The call of ours that this thread runs, or None."""
    return this_thread.__dict__.get(CALL)


def isolated(call: Callable[[], T]) -> T:
    """Call something on a thread that is used for other things afterwards.

    A job of asgiref's sets which loop its thread was called from, and never resets it. The loop may
    still be running later, and must not be used for what the thread does then.
    """
    here = this_thread.__dict__
    before = here.copy()
    try:
        return call()
    finally:
        here.clear()
        here.update(before)


# -- the thread that waits for async code (rule 2) -------------------------------------------------

_executors: Any = AsyncToSync.executors
_loop_executors: dict[Any, Any] = AsyncToSync.loop_thread_executors

# Reading an asgiref `Local` that was never set costs more than all the rest of the choice of a
# thread, so its context variable is asked first.
_variable = getattr(getattr(_executors, "_storage", None), "_data", None)
WAITING_VARIABLE = _variable if isinstance(_variable, ContextVar) else None
"""The context variable behind that ``Local``; None if there is none."""


def executor_waiting_here() -> Any:
    """The executor of the thread that waits for this code: ours, asgiref's, or None."""
    if WAITING_VARIABLE is not None and WAITING_VARIABLE.get(None) is None:
        return None
    return getattr(_executors, "current", None)


def set_executor_waiting_here(executor: Any) -> None:
    """Send thread-sensitive code of the current context to ``executor``."""
    data = None if WAITING_VARIABLE is None or TAGS_LOCALS else WAITING_VARIABLE.get(None)
    if WAITING_VARIABLE is not None and isinstance(data, dict):
        # asgiref < 3.9 changes the dict, which the contexts that copied this one share.
        WAITING_VARIABLE.set({**data, "current": executor})
    else:
        _executors.current = executor


def is_waiting(executor: Any) -> bool:
    """Whether the thread behind an executor still waits, and takes jobs."""
    return not executor._broken


def thread_of(executor: Any) -> Thread | None:
    """The thread behind an executor of a waiting thread; None for any other executor."""
    thread: Thread | None = getattr(executor, "_work_thread", None)
    return thread


def outer_executor(executor: Any) -> Any:
    """The executor of the waiting thread further out; None if there is none, or asgiref < 3.9."""
    return getattr(executor, "_old_executor", None)


def executors_waiting() -> Sequence[Any]:
    """The executors, ours or asgiref's, that wait for the code that runs here.

    The innermost comes first; with asgiref < 3.9, and its own helper, it is the only one.
    """
    executor = executor_waiting_here()
    if executor is None:  # mostly
        return ()
    found = []
    while executor is not None:
        if is_waiting(executor):
            found.append(executor)
        executor = outer_executor(executor)
    return found


def executors_waiting_on(threads: Container[Thread]) -> Sequence[Any]:
    """Those of :func:`executors_waiting` that are on ``threads``."""
    waiting = executors_waiting()
    return [each for each in waiting if thread_of(each) in threads] if waiting else ()


_SERVING = CurrentThreadExecutor.run_until_future.__code__


def executor_served_by(thread: Thread) -> Any:
    """The executor of asgiref's whose jobs ``thread`` runs, now or once its current one has ended.

    asgiref keeps no record of it but the frames of that thread.

    :returns: None if the thread is in none of asgiref's ``async_to_sync``.
    """
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None:
        if frame.f_code is _SERVING:
            return frame.f_locals.get("self")
        frame = frame.f_back
    return None


def executor_that_runs(thread: Thread) -> Any:
    """The executor that ``thread`` belongs to, if it may be the one of the current context.

    A job for the thread may reach another one: it has to look.
    """
    context = THREAD_SENSITIVE_CONTEXT.get(None)
    if context is not None and context in context_executors:
        return context_executors[context]
    single = single_thread_executor()
    return single if thread in single._threads else None


def executor_serving(loop: AbstractEventLoop) -> Any:
    """The executor of the thread that waits for ``loop`` as a whole, or None."""
    return _loop_executors.get(loop)


@contextmanager
def calls_for(loop: AbstractEventLoop, executor: Any) -> Iterator[None]:
    """Send thread-sensitive code that no other thread waits for on ``loop`` to ``executor``."""
    _loop_executors[loop] = executor
    try:
        yield
    finally:
        del _loop_executors[loop]


def shows_its_queue(executor: Executor) -> bool:
    """Whether :func:`queue_length` knows this kind of executor."""
    if type(executor) is ThreadPoolExecutor:
        return hasattr(getattr(executor, "_work_queue", None), "qsize")
    return type(executor) is CurrentThreadExecutor and hasattr(executor, "_work_items")


def queue_length(executor: Any) -> int:
    """How many jobs wait in an executor that :func:`shows_its_queue`."""
    if type(executor) is ThreadPoolExecutor:
        return executor._work_queue.qsize()
    return len(executor._work_items)


# -- thread-sensitive contexts, and the single thread ----------------------------------------------

THREAD_SENSITIVE_CONTEXT: ContextVar[Any] = SyncToAsync.thread_sensitive_context
"""The ``ThreadSensitiveContext`` that is entered."""

context_executors: Any = SyncToAsync.context_to_thread_executor
"""The executor of each ``ThreadSensitiveContext``."""

OCCUPIED = cast("ContextVar[Any]", SyncToAsync.deadlock_context)
"""True in code that the single thread waits for: asgiref refuses a thread-sensitive call there."""


def refuse_exited(context: Any) -> None:
    """Refuse a call of a task that has outlived its ``ThreadSensitiveContext(executor=...)``.

    One without an executor gets a new one, as in asgiref, which ends with the context object.

    :raises RuntimeError: the context had an executor; asgiref promises this error.
    """
    if getattr(context, "_exited", False):
        raise RuntimeError(
            "ThreadSensitiveContext has exited. Tasks created inside a context with an executor "
            "must finish before it exits."
        )


def single_thread_executor() -> ThreadPoolExecutor:
    """Where thread-sensitive code runs that belongs nowhere else: one thread for the process."""
    return SyncToAsync.single_thread_executor


def single_thread_context_executor() -> ThreadPoolExecutor | None:
    """Where ``AsyncSingleThreadContext``, if one is entered, runs its loops; made at first use.

    :raises DeadlockError: threads are greenlets, which do not run here.
    """
    variable = getattr(AsyncToSync, "async_single_thread_context", None)
    context = None if variable is None else variable.get(None)
    if context is None:
        return None
    executors = AsyncToSync.context_to_thread_executor
    if context not in executors:
        refuse_greenlets("the thread of an AsyncSingleThreadContext")
        executors[context] = ThreadPoolExecutor(max_workers=1)
    return executors[context]


def _replace_single_thread() -> None:
    """In a forked child: the thread stayed with the parent, and its executor does not notice."""
    if getattr(SyncToAsync.single_thread_executor, "_threads", None):
        SyncToAsync.single_thread_executor = ThreadPoolExecutor(max_workers=1)


process.in_child(process.Fork.CALLS, _replace_single_thread)

# -- the data of a Local (rule 3) ------------------------------------------------------------------

_storage: type | None = getattr(local, "_Storage", None)
_rehome: Callable[[Any], Any] | None = getattr(local, "_rehome", None)
TAGS_LOCALS = _storage is not None and _rehome is not None
"""Whether the data of a ``Local`` is tagged with its thread, and hidden from others."""


class _LocalVariables:
    """The variables in which the instances of ``Local`` keep their data."""

    def __contains__(self, variable: object) -> bool:
        return isinstance(variable, ContextVar) and variable.name == "asgiref.local"


LOCAL_VARIABLES = _LocalVariables()


def owned(value: Any) -> Any:
    """The value of a context variable, for the current thread."""
    if type(value) is _storage and _rehome is not None:
        return _rehome(value)
    return value


def holds_locals(context: Context) -> bool:
    """Whether there is anything to :func:`rehome` in ``context``."""
    for value in context.values():  # noqa: SIM110  # any() would cost a generator for each call
        if type(value) is _storage:
            return True
    return False


def rehome(context: Context) -> None:
    """Let the current thread own the ``Local`` data in ``context``, which it has entered."""
    if _storage is None or _rehome is None:
        return
    for variable, value in context.items():
        if type(value) is _storage:
            variable.set(_rehome(value))


# -- what is replaced (rule 4) ---------------------------------------------------------------------


def _parameters(function: Any) -> list[str]:
    """Their names; none if asgiref has no such function."""
    return [*signature(function).parameters] if callable(function) else []


_main_wrap: Any = getattr(AsyncToSync, "main_wrap", None)


class _CallThatEnds(Coroutine[Any, Any, None]):
    """The coroutine of one call of asgiref's ``async_to_sync``; the call ends if its task does.

    The thread waits for ``call_result``, which asgiref sets only once the user's coroutine has
    begun. A task that is cancelled before its first step, or fails in it, would leave the thread
    waiting forever.
    """

    __slots__ = ("_call_result", "_coroutine")

    def __init__(self, coroutine: Coroutine[Any, Any, None], call_result: Future[Any]) -> None:
        self._coroutine = coroutine
        self._call_result = call_result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._coroutine, name)  # for debuggers and the repr of the task

    def __await__(self) -> Generator[Any, Any, None]:
        return self._coroutine.__await__()

    def send(self, value: Any) -> Any:
        try:
            return self._coroutine.send(value)
        except BaseException as error:
            self._end(error)
            raise

    def throw(self, *exc_info: Any) -> Any:
        try:
            return self._coroutine.throw(*exc_info)
        except BaseException as error:
            self._end(error)
            raise

    def close(self) -> None:
        self._coroutine.close()
        self._end(CancelledError())

    def _end(self, error: BaseException) -> None:
        if not self._call_result.done():
            self._call_result.set_exception(error)


def _main_wrap_that_ends(
    self: Any, call_result: Future[Any], *args: Any, **kwargs: Any
) -> _CallThatEnds:
    return _CallThatEnds(_main_wrap(self, call_result, *args, **kwargs), call_result)


if _parameters(_main_wrap)[:2] == ["self", "call_result"]:
    AsyncToSync.main_wrap = _main_wrap_that_ends  # type: ignore[method-assign]  # rule 4


def adopt_with(adopt: Callable[[Context], None]) -> None:
    """Let asgiref copy the variables of a context into the current one with ``adopt``.

    asgiref compares the values with ``!=`` before 3.13, and looks at their class since 3.12. Either
    evaluates a lazy object of Django's, and on the event loop its database query fails the request.
    """
    if _parameters(getattr(sync, "_restore_context", None)) == ["context"]:
        sync._restore_context = adopt  # type: ignore[assignment]  # rule 4
