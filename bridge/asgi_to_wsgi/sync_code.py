"""Thread-sensitive sync code of an ASGI app behind `to_wsgi`: on the WSGI thread that waits for it.

What enters: functions, from asgiref's ``sync_to_async(thread_sensitive=True)`` or ours, on the
event loop's thread. What leaves: the same functions, to the caller of the request they belong to.

This is what asgiref promises for async code under a sync server: sync code runs on the thread
further out. So Django's ORM, called from its ASGI handler, finds on every WSGI thread the database
connection of that thread, instead of opening one for each request.

Rule 1. One ``ThreadSensitiveContext`` serves all requests. Its executor asks a context variable
        which request is meant. So a request costs two ``ContextVar.set``, and no thread.
Rule 2. Both variables belong to the app's task: the caller never sees them.
Rule 3. What a signal's handler raises while sync code runs is meant for the thread: Ctrl-C, or the
        exit that gunicorn's worker is told to make. The app gets it as the outcome of that code,
        and the server, too. A SystemExit of the code's own is the app's alone.
Rule 4. The loop decides when the caller takes no more (:meth:`CallerJobs.let_go`), on the thread on
        which it posts. So no job is ever left behind.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextvars import Context, ContextVar
from functools import partial
from threading import current_thread, main_thread
from traceback import walk_tb
from typing import Any, ParamSpec, Protocol, TypeVar

from asgiref.sync import ThreadSensitiveContext

from bridge._threads.asgiref_state import (
    THREAD_SENSITIVE_CONTEXT,
    context_executors,
    executor_waiting_here,
    isolated,
    rehome,
    set_executor_waiting_here,
    single_thread_executor,
)
from bridge._threads.job import SubmittedCall

__all__ = [
    "HIDDEN",
    "Caller",
    "CallerJobs",
    "enter_caller",
    "move_in",
]

P = ParamSpec("P")
T = TypeVar("T")


class Caller(Protocol):
    """A request whose WSGI thread runs sync code for it."""

    def run_on_caller(self, call: Callable[[], T]) -> Future[T]: ...


_caller: ContextVar[Caller | None] = ContextVar("bridge_caller", default=None)


class _OnCaller(Executor):
    """Submits to the request in whose context it is called."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        caller = _caller.get()
        if caller is None:
            return single_thread_executor().submit(fn, *args, **kwargs)
        return caller.run_on_caller(partial(isolated, partial(fn, *args, **kwargs)))


_on_caller = ThreadSensitiveContext()
_on_caller.token = THREAD_SENSITIVE_CONTEXT.set(_on_caller)  # without a token, exited
THREAD_SENSITIVE_CONTEXT.reset(_on_caller.token)
context_executors[_on_caller] = _OnCaller()

HIDDEN = frozenset((_caller, THREAD_SENSITIVE_CONTEXT))
"""The variables that the caller is not shown."""


def enter_caller(caller: Caller) -> None:
    """Send thread-sensitive code of the current context to ``caller``."""
    _caller.set(caller)
    THREAD_SENSITIVE_CONTEXT.set(_on_caller)


def move_in(context: Context) -> None:
    """Make what asgiref holds in ``context``, now entered, right for the loop's thread.

    A sync frame further out than the WSGI thread is forgotten: it waits for that thread, which
    waits here, so sync code sent there would never run.
    """
    rehome(context)
    if executor_waiting_here() is not None:
        set_executor_waiting_here(None)


class CallerJobs:
    """The sync code of one request: the loop posts it, the caller runs it.

    :ivar gone: the caller takes no more.
    """

    __slots__ = ("_elsewhere", "_jobs", "gone")

    def __init__(self, *, gone: bool) -> None:
        self._jobs: deque[SubmittedCall] = deque()
        self.gone = gone
        self._elsewhere: Executor | None = None

    # On the loop's thread

    def post(self, job: SubmittedCall) -> None:
        """For the caller; or, when that has gone on, for a thread of this request's own."""
        if not self.gone:
            self._jobs.append(job)
            return
        if self._elsewhere is None:
            self._elsewhere = ThreadPoolExecutor(1, "bridge-after-response")
        self._elsewhere.submit(job.run)

    def let_go(self) -> None:
        """The caller takes no more. What waits for it runs elsewhere."""
        self.gone = True
        while self._jobs:
            self.post(self._jobs.popleft())

    # On the caller's thread

    def run(self) -> bool:
        """Run what waits. False: there was nothing.

        :raises BaseException: what a signal's handler has raised: Rule 3.
        """
        jobs = self._jobs
        if not jobs:
            return False
        while jobs:
            job = jobs.popleft()
            job.run()
            if current_thread() is main_thread():  # where the handlers of signals run
                _pass_interrupt_on(job.future)
        return True


def _pass_interrupt_on(ended: Future[Any]) -> None:
    """Raise to the caller, too, what a signal's handler has raised into sync code."""
    error = None if ended.cancelled() else ended.exception()
    if isinstance(error, KeyboardInterrupt) or (
        isinstance(error, SystemExit) and _went_through_handler(error)
    ):
        raise error


def _went_through_handler(error: BaseException) -> bool:
    handlers = {getattr(signal.getsignal(number), "__code__", None) for number in signal.Signals}
    return any(frame.f_code in handlers for frame, _ in walk_tb(error.__traceback__))
