"""What ASGI servers lack to end well: with open requests finished, and in time.

What enters: an app and the name of its server, in the process that runs the app, before the event
loop does. What leaves: the app, made to end. What is for one server only says what that lacks; the
versions it was seen in are hypercorn 0.18 and granian 2.8.
"""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

from asgiref.sync import markcoroutinefunction

from bridge.cli.force_exit import LAST_S, leave_within
from bridge.types import AsgiApp, Message, Receive, Scope, Send

__all__ = ["KILL_AFTER_S", "end_well", "prepare_master"]

SERVES_AFTER_S = 0.1
KILL_AFTER_S = 5
"""Seconds that granian's master waits, beyond the grace, for a worker to clean up after it."""


def end_well(app: AsgiApp, server: str, grace_s: float) -> AsgiApp:
    """``app``, so that on ``server`` open requests get ``grace_s`` to finish, and no more.

    Its lifespan shutdown gets as much again, and a little for the process to end.
    """
    app = _with_last_resort(app, grace_s + LAST_S)
    if server == "hypercorn":
        _let_hypercorn_close()
        _let_hypercorn_workers_finish()
    if server == "granian" and _has_signals():
        return _CutOff(app, grace_s)
    return app


def _has_signals() -> bool:
    return os.name == "posix" and threading.current_thread() is threading.main_thread()


def _with_last_resort(app: AsgiApp, seconds: float) -> AsgiApp:
    """Let the process end within ``seconds`` of its lifespan shutdown, a server's last act."""

    async def live(scope: Scope, receive: Receive, send: Send) -> None:
        async def watched() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                leave_within(seconds)
            return message

        await app(scope, watched, send)

    def asgi(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return (live if scope["type"] == "lifespan" else app)(scope, receive, send)

    return markcoroutinefunction(asgi)  # not async def, which would cost requests a coroutine each


# -- hypercorn -------------------------------------------------------------------------------------


def _let_hypercorn_close() -> None:
    """Have ``Server.wait_closed()`` not wait for connections.

    Hypercorn calls it before it starts to count its ``graceful_timeout``. Up to Python 3.12 it did
    return at once, as hypercorn needs; since then (python/cpython#104344) it waits until the last
    client has gone, and one endless stream keeps the process for ever.
    """
    if sys.version_info >= (3, 12):
        asyncio.base_events.Server.wait_closed = _do_not_wait  # type: ignore[method-assign]


async def _do_not_wait(server: asyncio.base_events.Server) -> None:
    await asyncio.sleep(0)


def _let_hypercorn_workers_finish() -> None:
    """Have its worker processes ignore SIGTERM as long as their master lives.

    They are told to end by an event, and finish their requests then; but the master kills all with
    SIGTERM as soon as the first has finished. After its own end it still waits for each.
    """
    master = multiprocessing.parent_process()
    if master is not None:
        signal.signal(signal.SIGTERM, functools.partial(_leave_if_orphaned, master.pid))


def _leave_if_orphaned(master: int | None, number: int, frame: FrameType | None) -> None:
    if os.getppid() != master:
        raise SystemExit(0)


# -- granian -------------------------------------------------------------------------------------


def prepare_master(module: str) -> None:
    """Before the server starts, in the process that is to be the master of its workers.

    A worker that granian forks has its master's handlers until it has its own, after the import of
    the app. A SIGTERM in that time was lost, and the master waited for that worker for ever.
    """
    if module == "granian" and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=functools.partial(_leave_at_once, os.getpid()))


def _leave_at_once(master: int) -> None:
    if os.getppid() == master:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C: the master has it too


class _CutOff:
    """Cancels what still runs when the grace is over.

    Granian waits for open requests, and then kills the process with SIGKILL: no generator is
    closed, no lifespan shut down. Its kill timeout is set beyond the grace, and this comes first.

    Rule 1. The wish to end is seen by a handler in front of granian's own, which is in place when
            the lifespan begins.
    Rule 2. One wish is passed on, and not two: granian can lock up at a second. So Ctrl-C, which a
            terminal sends to all, is left to the master; SIGTERM follows from there.
    Rule 3. Granian's loop runs once for the lifespan's startup and again to serve. A wish in
            between would be lost, and is repeated when it serves.

    All of it runs on the main thread, which is the event loop's.
    """

    def __init__(self, app: AsgiApp, grace_s: float) -> None:
        self._app = app
        self._grace_s = grace_s
        self._running: set[asyncio.Task[Any]] = set()
        self._has_missed = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._live(scope, receive, send)
        task = asyncio.current_task()
        if task is None:
            return await self._app(scope, receive, send)
        self._running.add(task)
        try:
            await self._app(scope, receive, send)
        finally:
            self._running.discard(task)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        self._watch(loop)

        async def watched(message: Message) -> None:
            loop.call_later(SERVES_AFTER_S, self._catch_up)
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except BaseException:  # no lifespan, it may be: it serves nonetheless
            loop.call_later(SERVES_AFTER_S, self._catch_up)
            raise

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        handler = signal.getsignal(signal.SIGTERM)
        if callable(handler):
            signal.signal(signal.SIGTERM, functools.partial(self._begin, loop, handler))

    def _begin(
        self,
        loop: asyncio.AbstractEventLoop,
        handler: Callable[..., Any],
        number: int,
        frame: FrameType | None,
    ) -> None:
        self._has_missed = not loop.is_running()
        loop.call_soon_threadsafe(loop.call_later, self._grace_s, self._cancel_all)
        handler(number, frame)

    def _catch_up(self) -> None:
        if self._has_missed:
            signal.raise_signal(signal.SIGTERM)

    def _cancel_all(self) -> None:
        for task in self._running:
            task.cancel("the grace after SIGTERM or Ctrl-C is over")
