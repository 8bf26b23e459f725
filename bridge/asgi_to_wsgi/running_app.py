"""An ASGI app, up and running in this process: its loop, its lifespan, its tasks.

What enters: an app and its options, on the thread of the first request. What leaves: a
:class:`LiveApp` that requests run on, from any thread, until :meth:`LiveApp.close`.

Rule 1. ``runs`` and ``closing`` belong to the loop's thread.
Rule 2. Closing happens in this order: no new requests; those under way, and what they have left
        running, get ``shutdown_timeout_s``; what is left then is cancelled; the lifespan is shut
        down; the lease on the loop is given back.
Rule 3. For requests ``shutdown_timeout_s`` counts from when the end was first known: a server that
        lets them end before it closes its apps says so with :meth:`LiveApp.expect_close`. Those
        that come in between are served, and end by the same time. For the lifespan it counts from
        the beginning of the close, and is cut only where the server would not wait so long.
Rule 4. Every app that is live is closed before the interpreter ends, while threads can still be
        started: what runs at shutdown may need one.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import AbstractEventLoop
from collections.abc import Iterable
from concurrent.futures import Future, wait
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextvars import ContextVar
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any

from bridge._lifespan.runner import LifespanRunner, app_name
from bridge._threads import process
from bridge._threads.loop_inbox import LoopInbox
from bridge._threads.loop_thread import LoopThread, acquire_loop
from bridge.config import ToWsgiOptions
from bridge.errors import DeadlockError, LifespanFailed
from bridge.types import AsgiApp

if TYPE_CHECKING:
    from bridge.asgi_to_wsgi.loop_side import AppSide

__all__ = ["LiveApp", "close_live_apps", "expect_close_of_live_apps"]

logger = logging.getLogger("bridge.asgi_to_wsgi")

CANCEL_GRACE_S = 1.0
LOOP_GRACE_S = 2.0
"""How much longer than a coroutine's own timeout to wait for the loop to carry it out."""


class LiveApp:
    """Leases a loop when it is made; :meth:`start` comes next.

    :raises DeadlockError: made on the thread of that loop.

    :ivar pid: the process that it lives in. A fork leaves it behind.
    :ivar ident: of the loop's thread.
    :ivar runs: the requests whose task has not ended.
    :ivar closing: no more requests.
    :ivar ends_at: when what still runs is cancelled, in the loop's time; None while nobody has said
        that the app is going to be closed.
    :ivar down_at: by when the lifespan is to be shut down, likewise; None while nothing limits it.
    :ivar lock: guards ``AppSide.stalled``.
    """

    def __init__(self, app: AsgiApp, options: ToWsgiOptions) -> None:
        thread = acquire_loop(options.loop_factory)
        self.app = app
        self.name = app_name(app)
        self.options = options
        self.pid = process.pid
        self.thread: LoopThread = thread
        self.ident = thread.ident
        self.loop: AbstractEventLoop = thread.loop
        self.inbox: LoopInbox = thread.inbox
        self.runs: set[AppSide] = set()
        self.closing = False
        self.ends_at: float | None = None
        self.down_at: float | None = None
        self._grace_s = options.shutdown_timeout_s
        self.lock = Lock()
        self._lifespan = LifespanRunner(
            app, options.lifespan, startup_timeout_s=options.startup_timeout_s
        )
        self.state: dict[str, Any] = self._lifespan.state
        self._closed: Future[None] = Future()
        self._canceller: asyncio.Task[None] | None = None
        self._closer: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Run the lifespan's startup. Blocks until that is done. Gives the lease back if it fails.

        :raises LifespanFailed: it failed, or took longer than ``startup_timeout_s``.
        """
        try:
            self._start_lifespan()
        except BaseException:
            self.thread.release()
            raise
        _live_apps.add(self)
        process.at_exit(process.Exit.APPS, close_live_apps)

    def refuse_own_lifespan(self) -> None:
        """:raises DeadlockError: called by what its startup or its shutdown waits for, maybe on
        another thread: waiting for either there never ends.
        """
        self.thread.refuse_current()
        is_changing = self.closing or not self._lifespan.has_started
        if is_changing and not self.closed and _lifespan_of.get() is self:
            raise DeadlockError(
                f"the lifespan of {self.name} has called it as a WSGI app, which waits for that "
                "very startup or shutdown. Call it while it is up, or call the ASGI app itself"
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
        _lifespan_of.set(self)  # for what it calls, and the threads it calls that on
        await self._lifespan.startup()

    # -- closing --------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether it has been closed, well or badly."""
        return self._closed.done()

    def expect_close(self, within_s: float, *, requests_s: float) -> None:
        """It is going to be closed. From any thread, also in a signal's handler: never blocks,
        takes no lock.

        :param within_s: all is to be over by then, in seconds from now on.
        :param requests_s: what runs has ``shutdown_timeout_s`` from now on, and at most this.
        """
        self.inbox.post(partial(self._expect_close, within_s, requests_s))

    def _expect_close(self, within_s: float, requests_s: float) -> None:
        if self.ends_at is None:
            now = self.loop.time()
            self._grace_s = min(requests_s, self.options.shutdown_timeout_s)
            self.ends_at = now + self._grace_s
            self.down_at = now + within_s
            self.loop.call_at(self.ends_at, self._begin_cancelling)

    def _begin_cancelling(self) -> None:
        if not self.closing:
            self._canceller = self.loop.create_task(self._cancel_runs(), name="bridge-cancel")

    def begin_close(self) -> None:
        """Let it close. From any thread, also as a finalizer: never blocks, takes no lock."""
        if self.pid == process.pid:
            self.inbox.post(self._begin_close)

    def close(self) -> None:
        """Close, and wait until it is. Does nothing the second time.

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
        """Wait for the end of :meth:`close`, well or badly. False: that takes too long."""
        longest_s = self.options.shutdown_timeout_s + 2 * CANCEL_GRACE_S + LOOP_GRACE_S
        return bool(wait([self._closed], longest_s).done)

    def _begin_close(self) -> None:
        if not self.closing:
            self.closing = True
            longest_at = self.loop.time() + self.options.shutdown_timeout_s
            self.ends_at = _earlier(self.ends_at, longest_at)
            self.down_at = _earlier(self.down_at, longest_at)
            self._closer = self.loop.create_task(self._close(), name="bridge-close")

    async def _close(self) -> None:
        failure: Exception | None = None
        try:
            if self._canceller is not None:
                await self._canceller
            if not await self._ended(self.runs, self._left_s(self.ends_at)):
                await self._cancel_runs()
            await self._lifespan.shutdown(max(self._left_s(self.down_at), CANCEL_GRACE_S))
        except Exception as error:
            failure = error
        finally:
            _live_apps.discard(self)
            self.thread.release()  # before anybody hears of it: close() joins what is released
        if failure is None:
            self._closed.set_result(None)
        else:
            self._closed.set_exception(failure)

    def _left_s(self, until: float | None) -> float:
        assert until is not None  # set by whoever has begun to close
        return max(until - self.loop.time(), 0)

    async def _cancel_runs(self) -> None:
        """End the tasks of all requests that have taken too long."""
        late = tuple(self.runs)
        if late:
            logger.warning(
                "%s: cancelled %d task(s) that still ran after %g s (shutdown_timeout_s=%g)",
                self.name,
                len(late),
                self._grace_s,
                self.options.shutdown_timeout_s,
            )
        for run in late:
            run.cancel()
        await self._ended(late, CANCEL_GRACE_S)
        for run in late:
            run.abandon()

    async def _ended(self, runs: Iterable[AppSide], timeout_s: float) -> bool:
        """Wait for the tasks of these requests."""
        tasks = [run.task for run in runs if run.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)
        return not self.runs


def _earlier(known: float | None, other: float) -> float:
    return other if known is None else min(known, other)


_live_apps: set[LiveApp] = set()
_lifespan_of: ContextVar[LiveApp | None] = ContextVar("bridge_lifespan_of", default=None)


def _live_here() -> list[LiveApp]:
    """The apps that are live in this process. Other threads may start or end one meanwhile."""
    pid = process.pid
    return [live for live in tuple(_live_apps) if live.pid == pid and not live.closed]


def expect_close_of_live_apps(within_s: float, *, requests_s: float) -> None:
    """See :meth:`LiveApp.expect_close`, for every app that is live in this process."""
    for live in _live_here():
        live.expect_close(within_s, requests_s=requests_s)


def close_live_apps() -> None:
    """Close every app that is live in this process, all at the same time. Logs what fails."""
    apps = _live_here()
    for live in apps:
        live.begin_close()
    for live in apps:
        try:
            live.close()
        except LifespanFailed as error:
            logger.error("%s", error, exc_info=error.__cause__)
        except DeadlockError:  # uWSGI ends the process on whichever thread its signal lands
            logger.error(
                "%s was not shut down: the process ends on the thread of its event loop", live.name
            )
