"""`AsgiToWsgi`: an ASGI app as a WSGI app. This is the WSGI server's side of it.

What enters: environs, on the threads of any WSGI server. What leaves: ``start_response`` calls and
iterables. On the way: ``environ -> scope -> loop -> ASGI app -> streams -> start_response``.

The server's thread builds the scope, posts an :class:`~bridge.asgi_to_wsgi.loop_side.AppSide` to
the loop, and sleeps. For an ordinary request the two meet twice: the call going in, and the whole
response coming out. Everything else is in :mod:`bridge.asgi_to_wsgi.thread_side`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextvars import copy_context
from threading import Lock, get_ident
from weakref import WeakSet, finalize

from bridge._http.environ_to_scope import LengthRequired, body_length, build_scope, is_websocket
from bridge._http.scope_to_environ import BadRequest
from bridge._http.wsgi_head import status_line
from bridge._threads import process
from bridge.asgi_to_wsgi.loop_side import AppSide
from bridge.asgi_to_wsgi.request_body import PulledBody
from bridge.asgi_to_wsgi.running_app import LiveApp
from bridge.asgi_to_wsgi.thread_side import LOOK_S, CallerSide, changes_nothing
from bridge.config import ToWsgiOptions
from bridge.errors import LifespanFailed
from bridge.types import AsgiApp, Environ, LifespanMode, LoopFactory, StartResponse

__all__ = ["AsgiToWsgi", "start_adapters"]

logger = logging.getLogger("bridge.asgi_to_wsgi")


class AsgiToWsgi:
    """A PEP 3333 app that runs an ASGI 3 app on an event loop in a thread of its own.

    Nothing starts here: the loop and the app's lifespan start with the first request (or with
    :meth:`start`), once in each process, and a fork gets its own. All adapters of a process share
    one loop.

    :param app: any ASGI 3 callable. ``http`` and ``lifespan`` scopes are sent to it.
    :param lifespan: ``"auto"`` runs the app's startup and shutdown if it has them, ``"on"`` makes
        an app without them an error, ``"off"`` runs neither.
    :param loop_factory: makes the event loop; adapters with the same factory share it. By default
        uvloop's where it is installed, else asyncio's.
    :param body_window: how many bytes of a request body the app gets at a time.
    :param response_window: how many bytes of a response the app may be ahead of the server.
    :param startup_timeout_s: how long the lifespan's startup may take.
    :param shutdown_timeout_s: how long :meth:`close` waits for requests and for what they have left
        running, before it cancels them.
    :param task_timeout_s: how long a request may run in all, background work included, before it is
        cancelled. None: as long as it likes.
    :raises ConfigError: an option is wrong.
    """

    __bridge_interface__ = "wsgi"

    def __init__(
        self,
        app: AsgiApp,
        *,
        lifespan: LifespanMode = "auto",
        loop_factory: LoopFactory | None = None,
        body_window: int = 65536,
        response_window: int = 262144,
        startup_timeout_s: float = 30,
        shutdown_timeout_s: float = 30,
        task_timeout_s: float | None = None,
    ) -> None:
        self.app = app
        self.options = ToWsgiOptions(
            lifespan=lifespan,
            loop_factory=loop_factory,
            body_window=body_window,
            response_window=response_window,
            startup_timeout_s=startup_timeout_s,
            shutdown_timeout_s=shutdown_timeout_s,
            task_timeout_s=task_timeout_s,
        )
        self._lock = Lock()
        self._live: LiveApp | None = None
        self._starting: LiveApp | None = None
        self._former: LiveApp | None = None
        self._failed: LifespanFailed | None = None
        self._finalizer: finalize[..., AsgiToWsgi] | None = None
        _adapters.add(self)

    def __repr__(self) -> str:
        return f"AsgiToWsgi({self.app!r})"

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """PEP 3333. Blocks until the response begins; an ordinary one is complete by then.

        :raises LifespanFailed: the app could not be started. So does every later request, until
            the process is replaced: an app that has failed once is not tried again.
        :raises AppProtocolError: the app broke the ASGI spec before its response began.
        :raises DeadlockError: called on the thread of the app's own event loop, or by the app's
            own startup or shutdown.
        :raises Exception: what the app raised before its response began.
        """
        live = self._live
        if live is None:
            live = self.start()
        if get_ident() == live.ident:
            live.thread.refuse_current()
        if "HTTP_UPGRADE" in environ and is_websocket(environ):
            return _answer(start_response, 426, NO_WEBSOCKET)
        try:
            length = body_length(environ)
            scope = build_scope(environ, live.state)
        except BadRequest as error:
            status = 411 if isinstance(error, LengthRequired) else 400
            return _answer(start_response, status, str(error))
        window = self.options.body_window
        body = None if length == 0 else PulledBody(environ, length, window)
        context = copy_context()
        side = AppSide(live, scope, body, context)
        try:
            live.inbox.post(side.start)
            side.gate.acquire(timeout=LOOK_S)
            if not (side.is_whole and changes_nothing(context)):
                return CallerSide(live, side, environ, context).respond(start_response)
        except BaseException:  # also what a signal handler raises, anywhere in here
            live.inbox.post(side.disconnect)
            raise
        head = side.head
        start_response(head.status, head.headers)
        return [*side.chunks]

    # -- the app's life -------------------------------------------------------------------------

    def start(self) -> LiveApp:
        """Start the loop and the app, if this process has not yet. Blocks until both are up.

        :raises LifespanFailed: the app's startup failed, now or before.
        :raises DeadlockError: called on the thread of the app's own event loop, or by the app's
            own startup or shutdown.
        """
        for other in (self._starting, self._former):
            if other is not None:
                other.refuse_own_lifespan()
        with self._lock:
            live = self._live
            if live is not None:
                return live
            if self._failed is not None:
                raise LifespanFailed(str(self._failed)) from self._failed.__cause__
            if self._former is not None:  # what it shuts down may be what a startup opens
                self._former.wait_until_closed()
                self._former = None
            self._live = live = self._start()
            self._finalizer = finalize(self, live.begin_close)
            self._finalizer.atexit = False  # running_app sees to that, and waits
        return live

    def _start(self) -> LiveApp:
        live = LiveApp(self.app, self.options)
        self._starting = live
        try:
            live.start()
        except LifespanFailed as error:
            self._failed = error
            raise
        finally:
            self._starting = None
        return live

    def close(self) -> None:
        """Shut the app down and leave the loop. Blocks until it is done; the next request starts
        both again. One that comes meanwhile waits.

        Waits for requests and their background work, at most ``shutdown_timeout_s``.

        :raises LifespanFailed: the app's shutdown failed, or took too long.
        :raises DeadlockError: called on the thread of the app's own event loop.
        """
        live = self._live
        if live is None:
            return
        live.thread.refuse_current()
        with self._lock:
            if self._live is live:
                self._live, self._former = None, live
                if self._finalizer is not None:
                    self._finalizer.detach()
        live.close()

    def _after_fork(self) -> None:
        """In the child: nothing has started, or failed to, and nobody holds the lock.

        The parent's app stays in memory: were it freed, its open context managers would end here,
        and close what the parent still uses.
        """
        self._lock = Lock()
        lives = (self._live, self._starting, self._former)
        _inherited.extend(live for live in lives if live is not None)
        self._live = self._starting = self._former = None
        self._failed = None
        if self._finalizer is not None:
            self._finalizer.detach()


_adapters: WeakSet[AsgiToWsgi] = WeakSet()
_inherited: list[LiveApp] = []

NO_WEBSOCKET = (
    "This is a WSGI server, and a WebSocket cannot be served through one.\n"
    "Serve the app with an ASGI server, for example: bridge run main:app --server uvicorn\n"
)


def _answer(start_response: StartResponse, status: int, text: str) -> Iterable[bytes]:
    body = text.encode("utf-8")
    start_response(
        status_line(status),
        [("content-type", "text/plain; charset=utf-8"), ("content-length", str(len(body)))],
    )
    return [body]


def start_adapters() -> None:
    """Start every adapter that this process has, and wait until they are up.

    :raises LifespanFailed: an app's startup failed.
    """
    for adapter in list(_adapters):
        adapter.start()


def _after_fork() -> None:
    for adapter in list(_adapters):
        adapter._after_fork()


process.in_child(process.Fork.ADAPTERS, _after_fork)
