"""Records each request while it runs, for :mod:`bridge.control`: around an app, ASGI or WSGI.

Input: the calls of a server. Output: those of the app, unchanged. Records the start, the end and
the duration of each request; the path is kept for as long as the request runs. Runs on the threads
of the server.

The record travels as ``scope["bridge.control"]`` or ``environ["bridge.control"]``: so a request
that an adapter runs on another thread is reported once, with that thread.
"""

from __future__ import annotations

import time
from asyncio import Task, current_task
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from threading import get_ident
from typing import Any, Literal

from bridge._threads import process
from bridge._threads.locks import RealMutex
from bridge.control.loops import meet_loop
from bridge.dual import Universal
from bridge.interface import interface_of
from bridge.types import AsgiApp, Environ, Message, Receive, Scope, Send, StartResponse, WsgiApp

__all__ = ["KEY", "Durations", "Record", "Requests", "requests", "watch"]

KEY = "bridge.control"

SAMPLES = 2000
WINDOW_S = 60.0


class Record:
    """One request that runs.

    :ivar message: its scope or environ; empty once it has ended.
    :ivar started_at: ``time.monotonic()`` then.
    :ivar ident: of the server thread, as ``threading.get_ident()`` there.
    :ivar task: that runs it on an event loop.
    """

    __slots__ = ("ident", "message", "started_at", "task")

    def __init__(self, message: Scope | Environ, task: Task[Any] | None) -> None:
        self.message = message
        self.task = task
        self.ident = get_ident()
        self.started_at = time.monotonic()


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
    """The requests of this process. From any thread.

    :ivar completed: HTTP requests that have ended.
    :ivar is_watched: an app is watched: the numbers say something.
    """

    def __init__(self) -> None:
        self.is_watched = False
        self._reset()

    def _reset(self) -> None:
        self._lock = RealMutex()
        self._open: dict[int, Record] = {}
        self._ended: deque[tuple[float, float]] = deque(maxlen=SAMPLES)
        self.completed = 0

    def begin(self, record: Record) -> None:
        self._open[id(record)] = record

    def end(self, record: Record) -> None:
        """Does nothing the second time."""
        if self._open.pop(id(record), None) is None:
            return
        message, record.message = record.message, {}  # which refers to the record
        if message.get("type") == "websocket":
            return
        now = time.monotonic()
        with self._lock:
            self.completed += 1
            self._ended.append((now, now - record.started_at))

    def open(self) -> list[Record]:
        """Those that run now, oldest first."""
        return sorted(self._open.copy().values(), key=lambda record: record.started_at)

    def durations(self) -> Durations:
        """Those of the last minute."""
        since = time.monotonic() - WINDOW_S
        with self._lock:
            ended = list(self._ended)
        return Durations(took_s for ended_at, took_s in ended if ended_at > since)


requests = Requests()
process.in_child(process.Fork.CONTROL, requests._reset)


def watch(app: Any) -> Any:
    """``app``, whose requests ``bridge top`` shows with their duration, percentiles and rates.

    Without it, the requests that an adapter of bridge runs are shown, and no others. It costs a
    few microseconds a request. ``bridge run --control`` does it.

    :param app: WSGI or ASGI, or both. Wrap it outside of all other middleware.
    :returns: an app of the same interface.
    :raises AmbiguousApp: see :func:`bridge.interface_of`.
    """
    if isinstance(app, Universal):
        both = Universal(watch_asgi(app.asgi), watch_wsgi(app.wsgi))
        both.__self__ = app  # type: ignore[attr-defined]  # see WatchedWsgi
        return both
    return watch_wsgi(app) if interface_of(app) == "wsgi" else watch_asgi(app)


def watch_asgi(app: AsgiApp, on_shutdown: Callable[[], object] = lambda: None) -> AsgiApp:
    """
    :param on_shutdown: called after the lifespan's shutdown, on the loop.
    """
    requests.is_watched = True
    return _WatchedAsgi(app, on_shutdown)


def watch_wsgi(app: WsgiApp) -> WsgiApp:
    requests.is_watched = True
    return _WatchedWsgi(app)


class _WatchedAsgi:
    __bridge_interface__: Literal["asgi"] = "asgi"

    def __init__(self, app: AsgiApp, on_shutdown: Callable[[], object]) -> None:
        self._app = app
        self._on_shutdown = on_shutdown
        self.__self__ = getattr(app, "__self__", app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._run_lifespan(scope, receive, send)
            return
        record = scope[KEY] = Record(scope, _task())
        requests.begin(record)
        try:
            await self._app(scope, receive, send)
        finally:
            requests.end(record)

    async def _run_lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        meet_loop()
        shuts_down = False

        async def watched_receive() -> Message:
            nonlocal shuts_down
            message = await receive()
            shuts_down = message["type"] == "lifespan.shutdown"
            return message

        try:
            await self._app(scope, watched_receive, send)
        finally:
            if shuts_down:  # and not an app without a lifespan
                self._on_shutdown()


def _task() -> Task[Any] | None:
    try:
        return current_task()
    except RuntimeError:  # not asyncio's
        return None


class _WatchedWsgi:
    """:ivar __self__: the app, as of a bound method: what starts apps looks for it there."""

    __bridge_interface__: Literal["wsgi"] = "wsgi"

    def __init__(self, app: WsgiApp) -> None:
        self._app = app
        self.__self__ = getattr(app, "__self__", app)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        record = environ[KEY] = Record(environ, None)
        requests.begin(record)
        try:
            body = self._app(environ, start_response)
        except BaseException:
            requests.end(record)
            raise
        if isinstance(body, (list, tuple)) or _is_file(environ, body):
            requests.end(record)
            return body
        return _WatchedBody(body, record)


def _is_file(environ: Environ, body: object) -> bool:
    """Whether the server sends it by itself: it must get this very object."""
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(wrapper, type) and isinstance(body, wrapper)


class _WatchedBody:
    """The iterable of a response: the request ends with its ``close()``."""

    def __init__(self, body: Iterable[bytes], record: Record) -> None:
        self._body = body
        self._record = record

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            requests.end(self._record)
