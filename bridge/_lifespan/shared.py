"""The lifespan that mounted apps share in a process, however many servers and requests need it.

Input: lifespan scopes, from servers that send them, and requests, from servers that do not. Output:
apps that are started once, and shut down when the last user has released them. Both happen on the
event loop of the first user.

Rule 1. ``_lock`` guards the fields below it, and is never held while an app's code runs.
Rule 2. The first request to apps that have not started shows that the server sends no lifespan. It
        starts them, and all requests wait. A task of bridge then holds the apps: until the loop
        cancels its tasks, as `asyncio.run` does at its end, or else until the interpreter exits.
Rule 3. If an app fails to start, requests do not start it again: each gets the same error.
Rule 4. After a fork the child starts without apps, and keeps the parent's in memory: if they were
        freed, their context managers would exit and close what the parent still uses.
"""

from __future__ import annotations

import asyncio
import logging
import os
import traceback
from asyncio import AbstractEventLoop, Task
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextvars import Context
from typing import Any

from bridge._frameworks.facts import logs_failures_twice
from bridge._lifespan.many import Lifespans, MountedApp
from bridge._threads import process
from bridge._threads.instances import Instances
from bridge._threads.locks import GreenletMutex
from bridge._threads.own_tasks import own_task, run_threadsafe
from bridge._threads.server_loop import server_loop
from bridge.errors import BridgeError, LifespanFailed, ServerProtocolError, interrupts
from bridge.types import Receive, Scope, Send

__all__ = ["SharedLifespan"]

logger = logging.getLogger("bridge.lifespan")

MARGIN_S = 5.0
"""How much longer than the apps' own timeouts a thread waits for all of them."""


class SharedLifespan:
    """One lifespan for several apps.

    :param apps: the apps that have a lifespan, in the order in which they start.
    :param adapters: adapters with threads, which end their threads at shutdown, before the apps.
        Only a server that sends a lifespan shuts them down; otherwise threads end with the process.
    :param shares_state: see :meth:`~bridge._lifespan.many.Lifespans.start`.
    :ivar is_ready: requests can be passed on: no app is left to start. Read for every request.
    :ivar starts_on_wsgi: whether there is an app to start on a WSGI server.
    """

    def __init__(
        self, apps: Sequence[MountedApp], adapters: Sequence[MountedApp], *, shares_state: bool
    ) -> None:
        self._apps = tuple(apps)
        self._adapters = tuple(adapters)
        self._apps_for_requests = tuple(app for app in apps if app.needs_start)
        self._apps_on_wsgi = tuple(app for app in apps if not app.asgi_only)
        self._shares_state = shares_state
        self.starts_on_wsgi = bool(self._apps_on_wsgi)
        self._reset()
        _all.add(self)

    def _reset(self) -> None:
        self._lock = GreenletMutex()
        self._lifespans = Lifespans()
        self._users = 0
        self._started: Future[None] | None = None
        self._error: LifespanFailed | None = None
        self._holder: _Holder | None = None
        self.is_ready = not self._apps_for_requests

    @property
    def startup_timeout_s(self) -> float:
        """How long all startups on a WSGI server may take, including the report of a timeout."""
        return sum(app.options.startup_timeout_s for app in self._apps_on_wsgi) + MARGIN_S

    @property
    def starting(self) -> MountedApp | None:
        """The app whose startup runs now."""
        return self._lifespans.starting

    # -- for a lifespan scope -------------------------------------------------------------------

    async def serve(
        self, scope: Scope, receive: Receive, send: Send, *, on_wsgi: bool = False
    ) -> None:
        """ASGI 3, for a ``lifespan`` scope.

        A failure is sent as a message, and then raised as well, as Starlette does: servers log the
        message, a test client waits for the exception. It is the app's own, unless that would end
        the server's loop.

        :param on_wsgi: the scope is from an adapter on a WSGI server. It gets failures only as
            exceptions.
        :raises LifespanFailed: a startup or shutdown failed, ``on_wsgi`` or without an exception of
            the app.
        :raises ServerProtocolError: the server runs no asyncio event loop.
        """
        await receive()  # lifespan.startup
        failed = await _failure_of(self._acquire(scope.get("state"), on_wsgi))
        if failed is not None:
            await _report("lifespan.startup.failed", failed, None if on_wsgi else send)
            return
        try:
            await send({"type": "lifespan.startup.complete"})
            while (await receive())["type"] != "lifespan.shutdown":
                pass
        except (Exception, asyncio.CancelledError):
            await self._release(self._lifespans.cancel)
            raise
        failed = await _failure_of(self._release(self._lifespans.stop))
        if failed is not None:
            await _report("lifespan.shutdown.failed", failed, None if on_wsgi else send)
            return
        await send({"type": "lifespan.shutdown.complete"})

    # -- for requests ---------------------------------------------------------------------------

    async def start_for_requests(self) -> None:
        """Start the apps, if they have not been started, and wait until all of them have started.

        :raises LifespanFailed: an app did not start, now or before.
        :raises ServerProtocolError: the server runs no asyncio event loop.
        """
        server_loop()
        error = self._error
        if error is not None:
            raise LifespanFailed(str(error)) from error.__cause__
        with self._lock:
            started, is_first = self._claim_start()
            if is_first:
                self._users += 1
                self._holder = _Holder(self, started)
        await _wait(started)

    # -- users ----------------------------------------------------------------------------------

    async def _acquire(self, state: dict[str, Any] | None, on_wsgi: bool) -> None:
        """Start the apps, or wait until the first user has started them."""
        apps = self._apps_on_wsgi if on_wsgi else self._apps + self._adapters
        if apps:
            server_loop()
        with self._lock:
            started, is_first = self._claim_start()
            self._users += 1
        if not is_first:
            await _wait(started)
            return
        await self._start(started, state, apps)

    async def _release(self, stop: Callable[[], Awaitable[None]]) -> None:
        """Stop the apps, if no other user is left."""
        with self._lock:
            self._users -= 1
            if self._users or not self._started:
                return
            self.is_ready = not self._apps_for_requests
        try:
            await stop()
        finally:
            with self._lock:
                self._started = None
                self._holder = None

    def _claim_start(self) -> tuple[Future[None], bool]:
        """The future of the startup, and whether the caller has to run it."""
        if self._started is not None:
            return self._started, False
        self._error = None
        self._started = Future()
        return self._started, True

    async def _start(
        self,
        started: Future[None],
        state: dict[str, Any] | None,
        apps: Sequence[MountedApp],
        loop_is_ending: Callable[[], bool] | None = None,
    ) -> None:
        try:
            await self._lifespans.start(
                apps, state, shares_state=self._shares_state, loop_is_ending=loop_is_ending
            )
        except BaseException as error:
            self._fail(started, error)
            raise
        self.is_ready = True
        started.set_result(None)

    def _fail(self, started: Future[None], error: BaseException) -> None:
        failed = error if isinstance(error, LifespanFailed) else None
        with self._lock:
            self._users = 0
            self._started = None
            self._holder = None
            self._error = failed
        started.set_exception(failed or LifespanFailed(f"startup was interrupted: {error!r}"))


async def _wait(started: Future[None]) -> None:
    """Wait for a startup that another user runs; cancelling the caller does not cancel it."""
    await asyncio.shield(asyncio.wrap_future(started))


async def _failure_of(phase: Awaitable[None]) -> BridgeError | None:
    try:
        await phase
    except (LifespanFailed, ServerProtocolError) as error:
        return error
    return None


async def _report(kind: str, failed: BridgeError, send: Send | None) -> None:
    """Send the failure, if there is a ``send`` for it, and raise it."""
    if send is None:
        raise failed
    await send({"type": kind, "message": _describe(failed)})
    if logs_failures_twice(send):
        return
    cause = failed.__cause__
    raise failed if cause is None or interrupts(cause) else cause


def _describe(error: BridgeError) -> str:
    """The error for the server's log, with the traceback: servers log only the message."""
    if error.__cause__ is None:
        return str(error)
    return f"{error}\n{''.join(traceback.format_exception(error.__cause__))}".rstrip()


# -- where no server sends a lifespan --------------------------------------------------------------


class _Holder:
    """Starts the apps on the running loop, and holds them until the loop ends: Rule 2."""

    def __init__(self, lifespan: SharedLifespan, started: Future[None]) -> None:
        self._lifespan = lifespan
        self._started = started
        self._pid = os.getpid()
        self._loop: AbstractEventLoop = asyncio.get_running_loop()
        self._exiting = asyncio.Event()
        # In an empty context: that of the first request is not for all later ones.
        self._task: Task[None] = own_task(
            self._hold(), self._loop, name="bridge-lifespans", context=Context()
        )

    async def _hold(self) -> None:
        lifespan, apps = self._lifespan, self._lifespan._apps_for_requests
        try:
            await lifespan._start(self._started, None, apps, self._loop_is_ending)
        except Exception:
            return  # raised to the requests that wait
        _holders.add(self)
        process.at_exit(process.Exit.LIFESPANS, _stop_at_exit)
        try:
            await self._exiting.wait()
        except asyncio.CancelledError:
            pass  # the loop ends
        try:
            await lifespan._release(lifespan._lifespans.stop)
        except LifespanFailed as error:
            logger.error("%s", error, exc_info=error.__cause__)
        finally:
            _holders.discard(self)

    def _loop_is_ending(self) -> bool:
        return self._task.cancelling() > 0

    def stop(self) -> None:
        """Shut the apps down. On the main thread, when the interpreter exits."""
        if self._pid != os.getpid():
            return
        if self._loop.is_closed():
            logger.warning(
                "the mounted apps could not shut down: the server has closed its event loop "
                "without ending the tasks on it"
            )
        elif self._loop.is_running():
            stopping = run_threadsafe(self._stop(), self._loop)
            stopping.result(self._shutdown_timeout_s)
        else:
            self._loop.set_task_factory(None)
            self._loop.run_until_complete(self._stop())

    async def _stop(self) -> None:
        self._exiting.set()
        await asyncio.wait([self._task])

    @property
    def _shutdown_timeout_s(self) -> float:
        apps = self._lifespan._apps_for_requests
        return sum(app.options.shutdown_timeout_s for app in apps) + MARGIN_S


_all: Instances[SharedLifespan] = Instances()
_holders: set[_Holder] = set()
_inherited: list[object] = []


def _stop_at_exit() -> None:
    for holder in list(_holders):
        try:
            holder.stop()
        except Exception:
            logger.exception("the mounted apps could not shut down")


def _after_fork() -> None:
    _inherited.extend(_holders)
    _holders.clear()
    for lifespan in _all.alive():
        _inherited.append(lifespan._lifespans)
        lifespan._reset()


process.in_child(process.Fork.LIFESPANS, _after_fork)
