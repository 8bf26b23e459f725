"""An ASGI app that runs in this process: its loop, its lifespan, its requests.

A :class:`RunningApp` is made on the thread of the first request. Requests run on it, from any
thread, until :meth:`RunningApp.close`.

Rule 1. ``requests``, ``websockets`` and ``closing`` belong to the loop thread.
Rule 2. Closing happens in this order: no new requests; WebSockets are closed; running requests, and
        the tasks they have left behind, get ``shutdown_timeout_s``; what still runs is cancelled;
        the lifespan is shut down; the loop is released.
Rule 3. For requests ``shutdown_timeout_s`` counts from the first announcement of the end: a server
        that lets requests end before it closes its apps calls :meth:`RunningApp.announce_close`.
        Requests that arrive in between are served, and end by the same time. For the lifespan it
        counts from the beginning of the close, and is cut only where the server would not wait so
        long.
Rule 4. Every running app is closed before the interpreter ends, once the requests that its server
        has accepted are answered, and while threads can still be started: its shutdown may need
        one. A request that arrives later, on a thread that runs on, starts the app again.
"""

from __future__ import annotations

import asyncio
import logging
import os
from asyncio import AbstractEventLoop
from collections.abc import Iterable
from concurrent.futures import Future, wait
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextvars import ContextVar
from functools import partial
from threading import get_ident
from typing import Any, Protocol

from bridge._lifespan.runner import LifespanRunner, app_name
from bridge._observe.crossings import COUNTED
from bridge._threads.locks import RealMutex
from bridge._threads.loop_inbox import LoopInbox
from bridge._threads.loop_thread import LoopThread, acquire_loop
from bridge._threads.own_tasks import own_task
from bridge.asgi_to_wsgi.server_threads import remember_thread, wait_for_server_threads
from bridge.asgi_to_wsgi.sync_code_watch import SyncCodeWatch
from bridge.config import ToWsgiOptions
from bridge.errors import DeadlockError, LifespanFailed
from bridge.types import AsgiApp, Scope

__all__ = [
    "RunningApp",
    "announce_close",
    "close_running_apps",
    "running_apps",
    "wait_for_requests",
]

logger = logging.getLogger("bridge.asgi_to_wsgi")

MAX_CALLERS = 4096
CANCEL_GRACE_S = 1.0
LOOP_GRACE_S = 2.0
"""How much longer than a coroutine's own timeout to wait for the loop to run it."""


class RunningRequest(Protocol):
    """The loop side of a request.

    :ivar task: the app's; None once it has ended.
    """

    task: asyncio.Task[None] | None

    def subject(self) -> Scope: ...

    @property
    def is_in_background(self) -> bool:
        """Whether the app runs on after the end of its response. From any thread."""

    def cancel(self) -> None: ...

    def abandon(self) -> None: ...


class RunningWebSocket(Protocol):
    """A WebSocket that the app serves. Its task is among the requests."""

    def restart(self) -> None:
        """Close it, because the process ends."""


class RunningApp:
    """Acquires a loop when it is made; :meth:`start` comes next.

    :raises DeadlockError: made on the thread of that loop.

    :ivar pid: the process that it runs in. A fork leaves it behind.
    :ivar callers: ``get_ident()`` of threads that have called the app; see :meth:`meet_caller`.
    :ivar requests: those whose task has not ended.
    :ivar websockets: those that are open. Closed with 1012 as soon as the close is announced.
    :ivar closing: no more requests are accepted.
    :ivar cancels_at: when requests that still run are cancelled, in the loop's time; None until the
        close is announced.
    :ivar lifespan_ends_at: when the shutdown of the lifespan has to be over, likewise.
    :ivar sync_watch: limits the sync code of requests; None without ``request_timeout_s``.
    :ivar marks: keys for each scope.
    :ivar is_recorded: its adapter records the requests.
    :ivar lock: guards ``LoopSide.stalled``.
    """

    def __init__(self, app: AsgiApp, options: ToWsgiOptions) -> None:
        thread = acquire_loop(options.loop_factory)
        self.app = app
        self.name = app_name(app)
        self.options = options
        self.pid = os.getpid()
        self.thread: LoopThread = thread
        self.callers: set[int] = set()
        self.loop: AbstractEventLoop = thread.loop
        self.inbox: LoopInbox = thread.inbox
        self.requests: set[RunningRequest] = set()
        self.websockets: set[RunningWebSocket] = set()
        self.closing = False
        self.cancels_at: float | None = None
        self.lifespan_ends_at: float | None = None
        self._grace_s = options.shutdown_timeout_s
        limit_s = options.request_timeout_s
        self.sync_watch = None if limit_s is None else SyncCodeWatch(self.loop, self.name, limit_s)
        self.lock = RealMutex()
        self._lifespan = LifespanRunner(
            app, options.lifespan, startup_timeout_s=options.startup_timeout_s
        )
        self.state: dict[str, Any] = self._lifespan.state
        self.marks: dict[str, Any] = {}
        self.is_recorded = False
        self._closed: Future[None] = Future()
        self._canceller: asyncio.Task[None] | None = None
        self._closer: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Run the lifespan's startup. Blocks until that is done. Releases the loop if it fails.

        :raises LifespanFailed: it failed, or took longer than ``startup_timeout_s``.
        """
        try:
            self._start_lifespan()
        except BaseException:
            self.thread.release()
            raise
        _running_apps.add(self)

    def record_crossings(self) -> None:
        """From now on."""
        self.is_recorded = True
        self.marks = {COUNTED: True}

    def meet_caller(self) -> None:
        """The first call of this thread, or its first for a while.

        :raises DeadlockError: it is the thread of the loop.
        """
        self.thread.refuse_current()
        remember_thread()
        if len(self.callers) >= MAX_CALLERS:  # a server that has a thread for each request
            self.callers.clear()
        self.callers.add(get_ident())

    def refuse_own_lifespan(self) -> None:
        """Check that the calling code is not part of the app's own startup or shutdown.

        :raises DeadlockError: it is, maybe on another thread: waiting for either there never ends.
        """
        self.thread.refuse_current()
        is_changing = self.closing or not self._lifespan.has_started
        if is_changing and not self.closed and _lifespan_of.get() is self:
            raise DeadlockError(
                f"the lifespan of {self.name} called the app as a WSGI app, which waits for this "
                "very startup or shutdown. Call it while it is running, or call the ASGI app itself"
            )

    def _start_lifespan(self) -> None:
        started = self.thread.submit(self._begin_lifespan())
        try:
            started.result(self.options.startup_timeout_s + LOOP_GRACE_S)
        except FutureTimeoutError:
            started.cancel()
            raise LifespanFailed(
                f"startup of {self.name} took longer than startup_timeout_s="
                f"{self.options.startup_timeout_s:g}: it blocks the event loop at\n"
                f"{self.thread.stack()}"
            ) from None
        except BaseException:
            started.cancel()
            raise

    async def _begin_lifespan(self) -> None:
        _lifespan_of.set(self)  # for the code it calls, on any thread
        await self._lifespan.startup()

    # -- closing --------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` is over, successful or not."""
        return self._closed.done()

    def announce_close(self, within_s: float, *, requests_s: float) -> None:
        """The app is going to be closed. From any thread, also in a signal handler: never blocks,
        takes no lock.

        :param within_s: how many seconds are left for everything.
        :param requests_s: running requests have ``shutdown_timeout_s`` from now on, but at most
            this many seconds.
        """
        self.inbox.post(partial(self._announce_close, within_s, requests_s))

    def _announce_close(self, within_s: float, requests_s: float) -> None:
        if self.cancels_at is None:
            now = self.loop.time()
            self._grace_s = min(requests_s, self.options.shutdown_timeout_s)
            self.cancels_at = now + self._grace_s
            self.lifespan_ends_at = now + within_s
            self.loop.call_at(self.cancels_at, self._begin_cancelling)
            self._restart_websockets()

    def end_websockets(self) -> None:
        """Close the WebSockets with 1012. From any thread: never blocks."""
        self.inbox.post(self._restart_websockets)

    def _restart_websockets(self) -> None:
        for websocket in tuple(self.websockets):
            websocket.restart()

    def _begin_cancelling(self) -> None:
        if not self.closing:
            self._canceller = own_task(self._cancel_requests(), self.loop, name="bridge-cancel")

    def begin_close(self) -> None:
        """Start closing. From any thread, also as a finalizer: never blocks, takes no lock."""
        if self.pid == os.getpid():
            self.inbox.post(self._begin_close)

    def close(self) -> None:
        """Close, and wait until that is done. Does nothing the second time.

        :raises LifespanFailed: shutdown failed, or took too long.
        :raises DeadlockError: called on the thread of the loop.
        """
        self.thread.refuse_current()
        self.begin_close()
        if self.wait_until_closed():
            self._closed.result()
        else:
            logger.error(
                "%s could not be shut down: the event loop is blocked at\n%s",
                self.name,
                self.thread.stack(),
            )
        self.thread.join_if_released(LOOP_GRACE_S)

    def wait_until_closed(self) -> bool:
        """Wait for the end of :meth:`close`, successful or not. False: it takes too long."""
        longest_s = self.options.shutdown_timeout_s + 2 * CANCEL_GRACE_S + LOOP_GRACE_S
        return bool(wait([self._closed], longest_s).done)

    def _begin_close(self) -> None:
        if not self.closing:
            self.closing = True
            longest_at = self.loop.time() + self.options.shutdown_timeout_s
            self.cancels_at = _earlier(self.cancels_at, longest_at)
            self.lifespan_ends_at = _earlier(self.lifespan_ends_at, longest_at)
            self._closer = own_task(self._close(), self.loop, name="bridge-close")
            self._restart_websockets()

    async def _close(self) -> None:
        failure: Exception | None = None
        try:
            if self._canceller is not None:
                await self._canceller
            if not await self._ended(self.requests, self._left_s(self.cancels_at)):
                await self._cancel_requests()
            await self._lifespan.shutdown(max(self._left_s(self.lifespan_ends_at), CANCEL_GRACE_S))
        except Exception as error:
            failure = error
        finally:
            _running_apps.discard(self)
            self.thread.release()  # before close() returns: it joins what is released
        if failure is None:
            self._closed.set_result(None)
        else:
            self._closed.set_exception(failure)

    def background_tasks(self) -> int:
        """How many requests run on after the end of their response. From any thread."""
        return sum(request.is_in_background for request in self.requests.copy())

    def unfollowed_requests(self) -> int:
        """How many requests wait for the loop or for the app and are not followed: see `followed`.
        From any thread."""
        if not self.is_recorded:
            return 0
        posted = (getattr(post, "__self__", None) for post in self.inbox.pending())
        found: dict[int, Any] = {id(each): each for each in (*posted, *self.requests.copy())}
        return sum(
            each.is_unfollowed(self) for each in found.values() if hasattr(each, "is_unfollowed")
        )

    def grace_left_s(self) -> float:
        """How long requests may run before they are cancelled. From any thread."""
        return self._grace_s if self.cancels_at is None else self._left_s(self.cancels_at)

    def _left_s(self, until: float | None) -> float:
        assert until is not None  # set by _begin_close()
        return max(until - self.loop.time(), 0)

    async def _cancel_requests(self) -> None:
        """Cancel the tasks of all requests that have taken too long."""
        late = tuple(self.requests)
        if late:
            logger.warning(
                "%s: cancelled %d task(s) that still ran after %g s (shutdown_timeout_s=%g)",
                self.name,
                len(late),
                self._grace_s,
                self.options.shutdown_timeout_s,
            )
        for request in late:
            request.cancel()
        await self._ended(late, CANCEL_GRACE_S)
        for request in late:
            request.abandon()

    async def _ended(self, requests: Iterable[RunningRequest], timeout_s: float) -> bool:
        """Wait for the tasks of these requests."""
        tasks = [request.task for request in requests if request.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)
        return not self.requests


def _earlier(known: float | None, other: float) -> float:
    return other if known is None else min(known, other)


_running_apps: set[RunningApp] = set()
_lifespan_of: ContextVar[RunningApp | None] = ContextVar("bridge_lifespan_of", default=None)


def running_apps() -> list[RunningApp]:
    """The apps that run in this process. Other threads may start or end one meanwhile."""
    pid = os.getpid()
    return [app for app in _running_apps.copy() if app.pid == pid and not app.closed]


def wait_for_requests() -> None:
    """Wait until the requests that WSGI servers have accepted are answered, before apps close.

    Until none of them ends for as long as requests have when an app closes. WebSockets are closed
    at once: the server may kill the process before the wait is over.
    """
    apps = running_apps()
    for app in apps:
        app.end_websockets()
    wait_for_server_threads(max((app.grace_left_s() for app in apps), default=0))


def announce_close(within_s: float, *, requests_s: float) -> None:
    """See :meth:`RunningApp.announce_close`, for every app that runs in this process."""
    for app in running_apps():
        app.announce_close(within_s, requests_s=requests_s)


def close_running_apps() -> None:
    """Close every app that runs in this process, all at the same time. Logs what fails."""
    apps = running_apps()
    for app in apps:
        app.begin_close()
    for app in apps:
        try:
            app.close()
        except LifespanFailed as error:
            logger.error("%s", error, exc_info=error.__cause__)
        except DeadlockError:  # uWSGI ends the process on whichever thread its signal lands
            logger.error(
                "%s was not shut down: the process ends on the thread of its event loop", app.name
            )
