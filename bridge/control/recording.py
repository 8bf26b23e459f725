"""The requests that run, and how long the last ones have taken, for :mod:`bridge.control`.

Input: the records of requests (`bridge._observe`), whose observer this is. Output: which of them
run, on which thread or task, and percentiles. Runs on the threads of the server.
"""

from __future__ import annotations

import time
from asyncio import Task, current_task
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from threading import get_ident
from typing import Any, NamedTuple

from asgiref.sync import markcoroutinefunction

from bridge._observe.asgi import ObservedAsgi
from bridge._observe.observed import observed
from bridge._observe.record import RequestRecord
from bridge._observe.settings import Settings
from bridge._observe.wsgi import ObservedWsgi
from bridge._threads import process
from bridge._threads.locks import RealMutex
from bridge.control.loops import meet_loop
from bridge.types import AsgiApp, Message, Receive, Scope, Send, WsgiApp

__all__ = ["Durations", "Requests", "RunningRequest", "requests", "watch"]

SAMPLES = 2000
WINDOW_S = 60.0


class RunningRequest(NamedTuple):
    """One request that runs.

    :ivar ident: of the server thread, as ``threading.get_ident()`` there.
    :ivar task: that runs it on an event loop.
    """

    record: RequestRecord
    ident: int
    task: Task[Any] | None


class Durations:
    """How long the last requests have taken: of a minute, and at most ``SAMPLES``.

    :ivar count: how many there are.
    """

    def __init__(self, seconds: Iterable[float]) -> None:
        self._sorted = sorted(seconds)
        self.count = len(self._sorted)

    def percentile(self, share: float) -> float | None:
        """The duration that this share of the requests does not exceed, in seconds."""
        if not self._sorted:
            return None
        return self._sorted[min(int(share * self.count), self.count - 1)]


class Requests:
    """The requests of this process: an observer. From any thread.

    :ivar completed: HTTP requests that have ended.
    :ivar is_watched: an app is watched: the numbers say something.
    """

    def __init__(self) -> None:
        self.is_watched = False
        self._reset()

    def _reset(self) -> None:
        self._lock = RealMutex()
        self._open: dict[int, RunningRequest] = {}
        self._ended: deque[tuple[float, float]] = deque(maxlen=SAMPLES)
        self.completed = 0

    def started(self, record: RequestRecord) -> None:
        """It has arrived. On its task, or on its server thread."""
        self._open[id(record)] = RunningRequest(record, get_ident(), _task())

    def ended(self, record: RequestRecord) -> None:
        """It is over. Without effect for one that began before a fork."""
        if self._open.pop(id(record), None) is None or record.kind == "websocket":
            return
        with self._lock:
            self.completed += 1
            self._ended.append((time.monotonic(), record.total_s or 0.0))

    def open(self) -> list[RunningRequest]:
        """Those that run now, oldest first."""
        return sorted(self._open.copy().values(), key=lambda each: each.record.arrived_at)

    def durations(self) -> Durations:
        """Those of the last minute."""
        since = time.monotonic() - WINDOW_S
        with self._lock:
            ended = list(self._ended)
        return Durations(took_s for ended_at, took_s in ended if ended_at > since)


def _task() -> Task[Any] | None:
    try:
        return current_task()
    except RuntimeError:  # not asyncio's, or no event loop
        return None


requests = Requests()
process.in_child(process.Fork.CONTROL, requests._reset)


def watch(app: Any) -> Any:
    """``app``, whose requests ``bridge top`` shows with their duration, percentiles and rates.

    Without it, the requests that an adapter of bridge runs are shown, and no others. It costs what
    :func:`bridge.observe` does, and nothing more where that is used, too. ``bridge run --control``
    does it.

    :param app: WSGI or ASGI, or both. Wrap it outside of all other middleware.
    :returns: an app of the same interface.
    :raises AmbiguousApp: see :func:`bridge.interface_of`.
    """
    requests.is_watched = True
    return observed(app, Settings([requests]))


def watch_asgi(app: AsgiApp, on_shutdown: Callable[[], object]) -> AsgiApp:
    """
    :param on_shutdown: called after the lifespan's shutdown, on the loop.
    """
    requests.is_watched = True
    return ObservedAsgi(_with_lifespan(app, on_shutdown), Settings([requests]))


def watch_wsgi(app: WsgiApp) -> WsgiApp:
    requests.is_watched = True
    return ObservedWsgi(app, Settings([requests]))


def _with_lifespan(app: AsgiApp, on_shutdown: Callable[[], object]) -> AsgiApp:
    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        meet_loop()
        shuts_down = False

        async def watched_receive() -> Message:
            nonlocal shuts_down
            message = await receive()
            shuts_down = message["type"] == "lifespan.shutdown"
            return message

        try:
            await app(scope, watched_receive, send)
        finally:
            if shuts_down:  # and not an app without a lifespan
                on_shutdown()

    def asgi(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return (lifespan if scope["type"] == "lifespan" else app)(scope, receive, send)

    return markcoroutinefunction(asgi)  # not async def: that would add a coroutine to each request
