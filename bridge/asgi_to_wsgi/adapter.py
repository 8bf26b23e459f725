"""`AsgiToWsgi`: an ASGI app as a WSGI app. Runs on the threads of a WSGI server.

::

    environ -> scope -> loop -> ASGI app -> chunks -> start_response

The server thread builds the scope, posts a :class:`~bridge.asgi_to_wsgi.loop_side.LoopSide` to the
loop, and sleeps. For an ordinary request the two threads meet twice: when the call is posted, and
when the whole response is there. Everything else is in :mod:`bridge.asgi_to_wsgi.thread_side`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextvars import copy_context
from functools import partial
from threading import get_ident
from time import monotonic
from weakref import finalize

from bridge._http.answers import wsgi_answer
from bridge._http.environ_to_scope import body_length, build_scope, is_websocket
from bridge._http.rules import BadRequest, LengthRequired
from bridge._observe.crossings import Crossings
from bridge._observe.settings import Settings
from bridge._observe.wsgi import ObservedWsgi
from bridge._threads import process
from bridge._threads.instances import Instances
from bridge._threads.locks import GreenletMutex
from bridge._threads.loop_choice import loop_choice
from bridge._threads.restart import check_restart
from bridge.asgi_to_wsgi.followed import follow
from bridge.asgi_to_wsgi.loop_side import LoopSide
from bridge.asgi_to_wsgi.request_body import RequestBody
from bridge.asgi_to_wsgi.running_app import RunningApp, close_running_apps, wait_for_requests
from bridge.asgi_to_wsgi.thread_side import POLL_S, ThreadSide, sets_nothing
from bridge.asgi_to_wsgi.websocket.serve import serve_websocket
from bridge.config import ToWsgiOptions, WebSocketOptions
from bridge.errors import LifespanFailed, PoolClosed
from bridge.types import (
    AsgiApp,
    Environ,
    LifespanMode,
    LoopFactory,
    StartResponse,
    WebSocketMode,
    WsgiApp,
)

__all__ = ["AsgiToWsgi", "start_adapters"]

logger = logging.getLogger("bridge.asgi_to_wsgi")


class AsgiToWsgi:
    """A PEP 3333 app that runs an ASGI 3 app on an event loop in a thread of its own.

    Creating it starts nothing: the loop and the app's lifespan start with the first request, or
    with :meth:`start`, once in each process. All adapters of a process share one loop.

    :param app: any ASGI 3 callable. It gets ``http``, ``websocket`` and
        ``lifespan`` scopes.
    :param lifespan: ``"auto"`` runs the app's startup and shutdown if it has them, ``"on"`` makes
        an app without them an error, ``"off"`` runs neither.
    :param loop_factory: makes the event loop; adapters with the same factory share it. By default
        ``BRIDGE_LOOP`` names it, or else it is uvloop's where that is installed.
    :param body_window: how many bytes of a request body the app receives at a time; of a WebSocket,
        how many bytes of messages may wait for the app before no more is read.
    :param response_window: how many bytes of a response the app may be ahead of the server; of a
        WebSocket, how many bytes may wait for the client before ``send`` waits.
    :param startup_timeout_s: how long the lifespan's startup may take, in seconds.
    :param shutdown_timeout_s: how long :meth:`close` waits for requests and their background tasks
        before it cancels them, in seconds.
    :param request_timeout_s: how long a request may make no progress, in seconds: the app gets
        nothing of the request body, and the server nothing of the response. Then the client gets
        504, or the connection is cut if the response has begun; where the app stands is logged, and
        its task is cancelled. Checked once a second, while the server thread waits for the app.
        WebSockets, and what follows the response, have no limit. None: without limit.
    :param task_timeout_s: how long a request may run in all, background tasks included, in seconds,
        before it is cancelled. None: without limit. WebSockets have none.
    :param websockets: ``"auto"`` serves WebSockets where the server lets apps have the connection
        and the package websockets is installed, and answers 501 otherwise; ``"off"`` answers 426.
    :param websocket_origins: the values of ``Origin`` with which a WebSocket may be opened, such as
        ``["https://example.org"]``; others get 403, except requests without one, which no browser
        sends. None: all.
    :param max_message_bytes: of a message of the client, after decompression. A longer one closes
        the WebSocket with 1009.
    :param ping_interval_s: how often a client is pinged, in seconds. None: never.
    :param ping_timeout_s: how long nothing at all may arrive after a ping, in seconds, before the
        WebSocket is closed with 1011. Time in which the app is behind does not count.
    :param close_timeout_s: how long the client may take to answer a close, in seconds, before the
        connection is cut.
    :param per_message_deflate: whether messages are compressed if the client offers it, each by
        itself (no context takeover).
    :raises ConfigError: an option is wrong, or ``BRIDGE_LOOP`` or ``BRIDGE_SUPERVISED``.
    """

    __bridge_interface__ = "wsgi"

    def __init__(
        self,
        app: AsgiApp,
        *,
        lifespan: LifespanMode = "auto",
        loop_factory: LoopFactory | None = None,
        body_window: int = 65536,
        response_window: int = 131072,
        startup_timeout_s: float = 30,
        shutdown_timeout_s: float = 30,
        request_timeout_s: float | None = None,
        task_timeout_s: float | None = None,
        websockets: WebSocketMode = "auto",
        websocket_origins: Sequence[str] | None = None,
        max_message_bytes: int = 16 * 1024 * 1024,
        ping_interval_s: float | None = 20,
        ping_timeout_s: float = 20,
        close_timeout_s: float = 10,
        per_message_deflate: bool = True,
    ) -> None:
        self.app = app
        self.options = ToWsgiOptions(
            lifespan=lifespan,
            loop_factory=loop_factory,
            body_window=body_window,
            response_window=response_window,
            startup_timeout_s=startup_timeout_s,
            shutdown_timeout_s=shutdown_timeout_s,
            request_timeout_s=request_timeout_s,
            task_timeout_s=task_timeout_s,
            websockets=websockets,
            websocket_origins=websocket_origins,
            max_message_bytes=max_message_bytes,
            ping_interval_s=ping_interval_s,
            ping_timeout_s=ping_timeout_s,
            close_timeout_s=close_timeout_s,
            per_message_deflate=per_message_deflate,
        )
        if loop_factory is None:
            loop_choice()  # raises here, and not at the first request
        if request_timeout_s is not None:
            check_restart()
        self._lock = GreenletMutex()
        self._running: RunningApp | None = None
        self._starting: RunningApp | None = None
        self._closing: RunningApp | None = None
        self._failed: LifespanFailed | None = None
        self._finalizer: finalize[..., AsgiToWsgi] | None = None
        self.crossings: Crossings | None = None
        _adapters.add(self)

    def __repr__(self) -> str:
        return f"AsgiToWsgi({self.app!r})"

    def __call__(
        self, environ: Environ, start_response: StartResponse, *, app: AsgiApp | None = None
    ) -> Iterable[bytes]:
        """PEP 3333. Blocks until the response begins; an ordinary one is complete by then.

        :param app: is called in place of :attr:`app`, on the same loop, where the lifespan of
            :attr:`app` has run: the one that a Router has chosen. Servers do not pass it.
        :raises LifespanFailed: the app could not be started. So does every later request, until
            the process is replaced: a failed startup is not tried again.
        :raises RequestTimeout: the app has begun its response in sync code, and does not go on.
        :raises AppProtocolError: the app broke the ASGI spec before its response began.
        :raises DeadlockError: called on the thread of the app's own event loop, or by the app's
            own startup or shutdown.
        :raises Exception: what the app raised before its response began.
        """
        running = self._running
        if running is None:
            running = self.start()
        if get_ident() not in running.callers:
            running.meet_caller()
        if "HTTP_UPGRADE" in environ and is_websocket(environ):
            return self.serve_websocket(environ, start_response, app=app)
        try:
            length = body_length(environ)
            scope = build_scope(environ, running.state, running.marks)
        except BadRequest as error:
            refuse = partial(_refuse, error)
            if self.crossings is None:
                return refuse(start_response)
            return follow(self.crossings, None, environ, start_response, refuse)
        if length == 0:
            body, crossings = None, self.crossings
        else:
            body, crossings = RequestBody(environ, length, self.options.body_window), None
        context = copy_context()
        loop_side = LoopSide.made_as(
            running, running.app if app is None else app, scope, body, context
        )
        del scope  # error reports print the local variables of each frame of a traceback
        try:
            if not running.inbox.post(loop_side.start):
                raise PoolClosed(f"{running.name} is shut down")
            loop_side.wakeup.acquire(timeout=POLL_S)
            if not (loop_side.is_whole and sets_nothing(context)):
                respond = ThreadSide(running, loop_side, environ, context).respond
                if self.crossings is None:
                    return respond(start_response)
                return follow(self.crossings, loop_side, environ, start_response, respond)
        except BaseException:  # also what a signal handler raises, anywhere in here
            running.inbox.post(loop_side.disconnect)
            raise
        if body is not None and self.crossings is not None:
            return follow(
                self.crossings, loop_side, environ, start_response, loop_side.whole_response
            )
        head = loop_side.head
        if crossings is not None:
            crossings.whole(
                (loop_side.posted_at, loop_side.started_at, monotonic(), head, loop_side.written)
            )
        start_response(head.status, head.headers)
        return [*loop_side.chunks]

    def record_crossings(self, crossings: Crossings) -> None:
        """Record all requests from now on. For adapters that the server calls."""
        self.crossings = crossings
        if self._running is not None:
            self._running.record_crossings()

    def stop_recording(self) -> None:
        """Undo :meth:`record_crossings`: what is around this adapter counts."""
        self.crossings = None
        if self._running is not None:
            self._running.is_recorded = False

    def serve_websocket(
        self,
        environ: Environ,
        start_response: StartResponse,
        *,
        app: AsgiApp | None = None,
        options: WebSocketOptions | None = None,
    ) -> Iterable[bytes]:
        """PEP 3333, for a request that asks for a WebSocket. See :meth:`__call__`.

        :param options: in place of :attr:`options`: those of the Router that has chosen ``app``.
        """
        running = self.start()
        running.thread.refuse_current()
        serve: WsgiApp = partial(
            serve_websocket, running, app or running.app, options or self.options
        )
        if self.crossings is not None:
            serve = ObservedWsgi(serve, Settings(self.crossings.observers))
        return serve(environ, start_response)

    # -- start and close ------------------------------------------------------------------------

    def start(self) -> RunningApp:
        """Start the loop and the app, if this process has not yet. Blocks until both are running.

        :raises LifespanFailed: the app's startup failed, now or before.
        :raises DeadlockError: called on the thread of the app's own event loop, or by the app's
            own startup or shutdown.
        """
        for other in (self._starting, self._closing):
            if other is not None:
                other.refuse_own_lifespan()
        with self._lock:
            running = self._running
            if running is not None:
                return running
            if self._failed is not None:
                raise LifespanFailed(str(self._failed)) from self._failed.__cause__
            if self._closing is not None:  # its shutdown may close what a startup opens
                self._closing.wait_until_closed()
                self._closing = None
            self._running = running = self._start()
            self._finalizer = finalize(self, running.begin_close)
            self._finalizer.atexit = False  # running_app does that, and waits
        return running

    def _start(self) -> RunningApp:
        running = RunningApp(self.app, self.options)
        if self.crossings is not None:
            running.record_crossings()
        self._starting = running
        try:
            running.start()
        except LifespanFailed as error:
            self._failed = error
            raise
        finally:
            self._starting = None
        process.at_exit(process.Exit.REQUESTS, wait_for_requests)
        process.at_exit(process.Exit.APPS, _close_at_exit)
        return running

    def close(self) -> None:
        """Shut the app down and release the loop. Blocks until it is done; the next request starts
        both again. A request that arrives meanwhile waits.

        Waits for requests and their background tasks, at most ``shutdown_timeout_s``.

        :raises LifespanFailed: the app's shutdown failed, or took too long.
        :raises DeadlockError: called on the thread of the app's own event loop.
        """
        running = self._running
        if running is None:
            return
        running.thread.refuse_current()
        self._replace(running)
        running.close()

    def _replace(self, running: RunningApp) -> None:
        """The next request starts the app again, when this has closed."""
        with self._lock:
            if self._running is running:
                self._running, self._closing = None, running
                if self._finalizer is not None:
                    self._finalizer.detach()

    def _after_fork(self) -> None:
        """In the child: no app runs, none has failed, and the lock is free.

        The parent's app stays in memory: if it were freed, its open context managers would exit
        here, and close what the parent still uses.
        """
        self._lock = GreenletMutex()
        apps = (self._running, self._starting, self._closing)
        _inherited.extend(app for app in apps if app is not None)
        self._running = self._starting = self._closing = None
        self._failed = None
        if self._finalizer is not None:
            self._finalizer.detach()


def _refuse(error: BadRequest, start_response: StartResponse) -> Iterable[bytes]:
    status = 411 if isinstance(error, LengthRequired) else 400
    return wsgi_answer(start_response, status, str(error))


_adapters: Instances[AsgiToWsgi] = Instances()
_inherited: list[RunningApp] = []


def start_adapters(but: Callable[[AsgiToWsgi], bool] | None = None) -> None:
    """Start the adapters of this process, and wait until their apps are running.

    :param but: returns whether to leave an adapter to its first request.
    :raises LifespanFailed: an app's startup failed.
    """
    for adapter in _adapters.alive():
        if but is None or not but(adapter):
            adapter.start()


def _close_at_exit() -> None:
    for adapter in _adapters.alive():
        if adapter._running is not None:
            adapter._replace(adapter._running)
    close_running_apps()


def _after_fork() -> None:
    for adapter in _adapters.alive():
        adapter._after_fork()


process.in_child(process.Fork.ADAPTERS, _after_fork)
