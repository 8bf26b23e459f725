"""Thread-sensitive sync code of an ASGI app behind `to_wsgi`: runs on the request's server thread.

Functions are submitted by asgiref's ``sync_to_async(thread_sensitive=True)`` or ours, on the loop
thread, and run on the WSGI server thread of the request that they belong to.

This is what asgiref promises for async code under a sync server: sync code runs on the thread
further out. So Django's ORM, called from its ASGI handler, finds on every server thread the
database connection of that thread, instead of opening one for each request.

Rule 1. One ``ThreadSensitiveContext`` serves all requests. Its executor finds the request in a
        context variable. So a request costs two ``ContextVar.set``, and no thread.
Rule 2. Both variables belong to the app's task: the server thread never sees them.
Rule 3. What a signal handler raises while sync code runs is meant for the thread: Ctrl-C, or the
        exit that gunicorn's worker is told to make. The app gets it as the outcome of that code,
        and the server gets it, too. A SystemExit of the code's own goes to the app alone.
Rule 4. Sync code that waits for the app's ``send`` or ``receive`` (in ``async_to_sync``) occupies
        the thread that they need. So it does what they need within that wait
        (:meth:`SyncJobs.submit_within_wait`).
Rule 5. The loop decides when the server thread takes no more (:meth:`SyncJobs.close`), on the
        thread on which it posts. So no job is ever left behind.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextvars import Context, ContextVar
from functools import partial
from threading import Thread, current_thread, main_thread
from traceback import walk_tb
from typing import Any, ParamSpec, Protocol, TypeVar

from asgiref.sync import ThreadSensitiveContext

from bridge._threads.asgiref_state import (
    THREAD_SENSITIVE_CONTEXT,
    context_executors,
    executor_waiting_here,
    executors_waiting_on,
    isolated,
    rehome,
    set_executor_waiting_here,
    single_thread_executor,
)
from bridge._threads.job import SubmittedCall

__all__ = ["HIDDEN", "Request", "ServerThread", "SyncJobs", "enter_request", "move_to_loop_thread"]

P = ParamSpec("P")
T = TypeVar("T")


class Request(Protocol):
    """A request whose server thread runs sync code for it."""

    def run_on_server_thread(self, call: Callable[[], T]) -> Future[T]: ...


_request: ContextVar[Request | None] = ContextVar("bridge_request", default=None)


class _ServerThreads(Executor):
    """Submits to the server thread of the request in whose context it is called."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        request = _request.get()
        if request is None:
            return single_thread_executor().submit(fn, *args, **kwargs)
        return request.run_on_server_thread(partial(isolated, partial(fn, *args, **kwargs)))


_on_server_threads = ThreadSensitiveContext()
context_executors[_on_server_threads] = _ServerThreads()

HIDDEN = frozenset((_request, THREAD_SENSITIVE_CONTEXT))
"""The variables that the server thread does not see."""


def enter_request(request: Request) -> None:
    """Send thread-sensitive code of the current context to the server thread of ``request``."""
    _request.set(request)
    THREAD_SENSITIVE_CONTEXT.set(_on_server_threads)


def move_to_loop_thread(context: Context) -> None:
    """Adapt what asgiref holds in ``context``, now entered, to the loop thread.

    A sync frame further out than the server thread is forgotten: it waits for that thread, which
    waits here, so sync code sent there would never run.
    """
    rehome(context)
    if executor_waiting_here() is not None:
        set_executor_waiting_here(None)


class ServerThread(Protocol):
    """What a server thread does for the app, also while it runs sync code.

    :ivar thread: that thread.
    :ivar can_write: whether it can pass data to the server from within sync code.
    """

    thread: Thread
    can_write: bool

    def serve(self) -> None:
        """Do what the app needs, except run sync code. On the thread; does not raise."""


class SyncJobs:
    """The sync code of one request: the loop posts it, the server thread runs it.

    :ivar closed: the server thread takes no more.
    :ivar running_on: the server thread, while it runs one. Set by that thread.
    :ivar started: how many it has begun.
    """

    __slots__ = ("_elsewhere", "_jobs", "closed", "running_on", "started")

    def __init__(self, *, closed: bool) -> None:
        self._jobs: deque[SubmittedCall] = deque()
        self.closed = closed
        self.running_on: ServerThread | None = None
        self.started = 0
        self._elsewhere: Executor | None = None

    # On the loop thread

    def post(self, job: SubmittedCall) -> None:
        """Run ``job`` on the server thread; on another one, kept for this request, if closed."""
        if not self.closed:
            self._jobs.append(job)
            return
        if self._elsewhere is None:
            self._elsewhere = ThreadPoolExecutor(1, "bridge-after-response")
        self._elsewhere.submit(job.run)

    def close(self) -> None:
        """The server thread takes no more. Pending jobs run elsewhere."""
        self.closed = True
        while self._jobs:
            self.post(self._jobs.popleft())

    def submit_within_wait(self, call: Callable[[ServerThread], T]) -> Future[T] | None:
        """Run ``call`` on the server thread if that waits, in sync code, for what runs here.

        :returns: None if it does not wait.
        """
        server = self.running_on
        if server is None:
            return None
        for executor in executors_waiting_on((server.thread,)):
            try:
                future: Future[T] = executor.submit(call, server)
            except RuntimeError:  # it has stopped waiting meanwhile
                continue
            return future
        return None

    def must_not_wait(self) -> bool:
        """Whether the server thread waits for what runs here, and cannot pass data on meanwhile."""
        server = self.running_on
        if server is None or server.can_write:
            return False
        return bool(executors_waiting_on((server.thread,)))

    # On the server thread

    def run(self, server: ServerThread) -> bool:
        """Run the pending jobs. False: there were none.

        :param server: this thread.

        :raises BaseException: what a signal handler has raised: Rule 3.
        """
        jobs = self._jobs
        if not jobs:
            return False
        while jobs:
            job = jobs.popleft()
            self.started += 1
            self.running_on = server
            job.run()
            self.running_on = None
            if current_thread() is main_thread():  # where signal handlers run
                _raise_interrupt(job.future)
        return True


def _raise_interrupt(ended: Future[Any]) -> None:
    """Raise what a signal handler has raised into sync code to the server, too."""
    error = None if ended.cancelled() else ended.exception()
    if isinstance(error, KeyboardInterrupt) or (
        isinstance(error, SystemExit) and _went_through_handler(error)
    ):
        raise error


def _went_through_handler(error: BaseException) -> bool:
    handlers = {getattr(signal.getsignal(number), "__code__", None) for number in signal.Signals}
    return any(frame.f_code in handlers for frame, _ in walk_tb(error.__traceback__))
