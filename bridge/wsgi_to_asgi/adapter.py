"""`WsgiToAsgi`: a WSGI app as an ASGI app. Runs on the event loop thread.

::

    scope -> environ -> pool -> WSGI app -> bodies -> send

The event loop thread builds the environ, posts a job to the pool, and sends what the job returns; a
worker thread does everything else. For an ordinary request the two meet twice: when the job is
posted, and when the whole response is there.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from bridge._http.answers import BUSY, asgi_answer, close_websocket
from bridge._http.client_text import ClientText, literal
from bridge._http.rules import OWS, BadRequest
from bridge._http.scope_to_environ import EnvironBuilder
from bridge._observe.asgi import ObservedAsgi
from bridge._observe.crossings import COUNTED, Crossings
from bridge._observe.settings import Settings
from bridge._repeated_log import RepeatedLog
from bridge._threads.borrowed import BorrowedPool
from bridge._threads.job_times import recorder_of
from bridge._threads.loop_inbox import LoopInbox, inbox_of
from bridge._threads.own_tasks import own_task
from bridge._threads.pool import WorkerPool
from bridge._threads.server_loop import no_asyncio_loop, server_loop
from bridge._threads.share import Share
from bridge.config import Limit, ToAsgiOptions
from bridge.errors import BodyTimeout, ConfigError, PoolClosed, PoolSaturated, ServerProtocolError
from bridge.types import (
    AsgiApp,
    Environ,
    Message,
    PoolStats,
    RawHeaders,
    Receive,
    Scope,
    Send,
    TrustedEnviron,
    UnderscoreHeaders,
    WsgiApp,
)
from bridge.wsgi_to_asgi.bodies import ResponseBody, SendHabits
from bridge.wsgi_to_asgi.django_streams import adapt_handlers
from bridge.wsgi_to_asgi.limited_pool import LimitedPool
from bridge.wsgi_to_asgi.loop_side import LoopSide
from bridge.wsgi_to_asgi.request_buffer import RequestBuffer
from bridge.wsgi_to_asgi.rests import Rests
from bridge.wsgi_to_asgi.spool import Spools
from bridge.wsgi_to_asgi.thread_side import ThreadSide
from bridge.wsgi_to_asgi.time_limits import TimeLimits

if TYPE_CHECKING:
    from bridge.wsgi_to_asgi.websocket import RawWebSockets

__all__ = ["WsgiToAsgi"]

Post = Callable[[ThreadSide, AbstractEventLoop], None]

logger = logging.getLogger("bridge.wsgi_to_asgi")
repeated = RepeatedLog(logger)


class WsgiToAsgi:
    """An ASGI 3 app that runs a WSGI app on worker threads.

    Creating it starts no thread: threads start with the first requests, in each process.

    :param app: any PEP 3333 callable. It is called from several threads at once.
    :param threads: how many requests may run at once.
    :param executor: run the app on these threads instead of its own: a shared
        :class:`~bridge.WorkerPool`, or any ``concurrent.futures.Executor`` of threads. Its owner
        shuts it down, and ``threads`` has no effect.
    :param backlog: how many requests may wait for a thread. One more is answered with 503.
    :param wait_target_s: how long requests may wait for a thread in an overload, in seconds: when
        all have waited for longer, for five times as long, and a client has left in vain, or the
        oldest has waited for fifty times as long. From then on new requests go first, and those
        that would wait for longer are answered with 503 at once. Before, none is, however long a
        burst makes the wait. For requests that take more than twice the target on their threads,
        half of what they take counts instead. None: only ``backlog`` bounds the queue.
    :param queue_timeout_s: how long a request may wait for a thread, in seconds. Then the answer is
        503, and the app never gets it. None: without limit.
    :param request_timeout_s: how long a request may hold its thread without progress, in seconds:
        the app reads nothing of the request body, and writes nothing of the response, of which the
        server takes nothing. Then the client gets 504, or the connection is cut if the response has
        begun; where the thread stands is logged, and another one takes its place. It ends when the
        app returns. If more than ``threads`` of them are stuck, no more are replaced, and the
        process asks to be replaced itself. Waits for the request body count for ``body_timeout_s``.
        What holds no thread, such as an async iterator, has no limit. None: without limit.
    :param loop_lag_target_s: fewer threads run the app at once while computing threads make the
        event loop later than this, in seconds: see :doc:`/explanation/gil`. None: always as many as
        ``threads`` says. Not with ``executor``: a :class:`~bridge.WorkerPool` has the option.
    :param limits: how many threads the requests below a path may use, as ``{path: Limit}``. A path
        is one below the app's mount point, decoded, and matches whole segments: see
        :class:`~bridge.Limit`.
    :param body_window: how many bytes of a request body are read ahead of the app. If the app has
        begun its response and does not read, up to 4 MiB more is read in steps, because a
        disconnect is noticed only after the bytes that the client sent before; after four minutes
        of that the rest of the body is dropped.
    :param buffer_request_bytes: how many bytes of a request body are read, or up to its end, before
        the request takes a thread: a client that sends a small body slowly takes none. 0: the app
        runs as soon as the first bytes are there, which an app needs that answers a client before
        it has sent all of a small body. At most as many bodies are read at once as requests may run
        and wait, ``threads`` and ``backlog`` together; one more is answered with 503.
    :param body_timeout_s: how long a request body may make no progress while the adapter or the app
        waits for it, in seconds. Then the client gets 408, if the response has not begun, and reads
        of ``wsgi.input`` raise :exc:`~bridge.BodyTimeout`. None: forever.
    :param response_window: how many bytes of a response the app may be ahead of the server.
    :param spool_bytes: how many bytes more may wait for slow clients, in temporary files, of all
        responses that stream: at most a quarter of what is free in ``tempfile.gettempdir()``, and
        16 MiB of one response. So an app ends, and leaves its thread, before its client has
        everything. Event streams, and responses with ``X-Accel-Buffering: no``, are not spooled.
        0: the thread waits for the client.
    :param underscore_headers: what happens to request headers with a ``_`` in their name, which CGI
        names cannot distinguish from ``-``: ``"drop"``, ``"keep"`` or ``"refuse"`` (400).
    :param duplicate_header_limit: how many lines of one request header are accepted; more is 400.
        None: any number.
    :param trusted_environ: ``(scope) -> {key: value}``: keys to add to the environ that no client
        may set, such as ``REMOTE_USER``. Called on the event loop thread: it must not block.
    :param shutdown_timeout_s: how long the lifespan's shutdown waits for running requests, in
        seconds.
    :param websocket_threads: how many WebSockets the app may have open at once, each on a thread of
        its own: for apps that take the raw socket from the environ, as those of flask-sock and
        simple-websocket do. 0: WebSockets are refused. Needs the extra ``websocket``.
    :param strict: raise an :class:`~bridge.AppProtocolError` if the app sends more body than its
        Content-Length. By default the rest is not sent, ``close()`` is called, and a warning names
        the app and the path, as on most WSGI servers. A body that is too short is always an error.
    :raises ConfigError: an option is wrong.
    """

    __bridge_interface__ = "asgi"

    def __init__(
        self,
        app: WsgiApp,
        *,
        threads: int = 40,
        executor: Executor | None = None,
        backlog: int = 2048,
        wait_target_s: float | None = 0.1,
        queue_timeout_s: float | None = None,
        request_timeout_s: float | None = None,
        loop_lag_target_s: float | None = None,
        limits: Mapping[str, Limit] | None = None,
        body_window: int = 65536,
        buffer_request_bytes: int = 65536,
        body_timeout_s: float | None = 60,
        response_window: int = 131072,
        spool_bytes: int = 1073741824,
        underscore_headers: UnderscoreHeaders = "drop",
        duplicate_header_limit: int | None = 100,
        trusted_environ: TrustedEnviron | None = None,
        shutdown_timeout_s: float = 30,
        websocket_threads: int = 0,
        strict: bool = False,
    ) -> None:
        adapt_handlers(app)
        self.app = app
        self.options = ToAsgiOptions(
            threads=threads,
            executor=executor,
            backlog=backlog,
            wait_target_s=wait_target_s,
            queue_timeout_s=queue_timeout_s,
            request_timeout_s=request_timeout_s,
            loop_lag_target_s=loop_lag_target_s,
            limits=limits,
            body_window=body_window,
            buffer_request_bytes=buffer_request_bytes,
            body_timeout_s=body_timeout_s,
            response_window=response_window,
            spool_bytes=spool_bytes,
            underscore_headers=underscore_headers,
            duplicate_header_limit=duplicate_header_limit,
            trusted_environ=trusted_environ,
            shutdown_timeout_s=shutdown_timeout_s,
            websocket_threads=websocket_threads,
            strict=strict,
        )
        self._environs = EnvironBuilder(
            underscore_headers=underscore_headers,
            duplicate_header_limit=duplicate_header_limit,
            trusted_environ=trusted_environ,
        )
        self._send_habits = SendHabits()
        self._spools = Spools(spool_bytes) if spool_bytes else None
        self.crossings: Crossings | None = None
        self._time_limits = self._make_time_limits()
        self._use_pool(self._make_pool())
        self._rests = Rests(threads)
        self._buffer = RequestBuffer(
            buffer_request_bytes,
            threads=self._pool.max_threads if isinstance(self._pool, WorkerPool) else 0,
            backlog=self._pool.backlog,
        )
        self._websockets = self._make_websockets()
        self._loop_and_inbox: tuple[AbstractEventLoop, LoopInbox] | None = None

    def __repr__(self) -> str:
        return f"WsgiToAsgi({self.app!r})"

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send, *, app: WsgiApp | None = None
    ) -> None:
        """ASGI 3. Any exception of the app is raised here, for the server to log and answer.

        :param app: is called in place of :attr:`app`, on the same threads and with the same
            options: the one that a Router has chosen. Servers do not pass it.
        """
        if app is None:
            app = self.app
        if scope["type"] != "http":
            await self._serve_other(app, scope, receive, send)
            return
        crossings = self.crossings
        if crossings is not None:
            crossings.began(None)
        loop, inbox = self._bind_loop()
        try:
            environ = self._environs.build(scope)
        except BaseException as error:  # malformed, or of trusted_environ
            unread = LoopSide(receive, send, inbox, ResponseBody(inbox, 0), self.options)
            if not await _end_early(unread, scope, error, crossings):
                raise
            return
        response = ResponseBody(
            inbox, self.options.response_window, self._send_habits, self._spools
        )
        request = LoopSide(receive, send, inbox, response, self.options)
        # Whether there is a body (RFC 9112, 6.3): else the first message may come at any time.
        announced = (
            "HTTP_TRANSFER_ENCODING" in environ
            or environ.get("CONTENT_LENGTH", "0") != "0"
            or environ["SERVER_PROTOCOL"][:6] != "HTTP/1"  # HTTP/2 need not announce it
        )
        try:
            message: Message | None
            if not announced:
                message = await receive()
            else:
                request.arrived_at = monotonic()
                is_left = "HTTP_EXPECT" in environ and self._leaves_body_to_app(environ)
                message = None if is_left else await request.next_message()
            if message is None:
                request.open_body(environ)
            else:
                if message.get("more_body", False):
                    message = await self._buffer.fill(message, request.next_message)
                if message["type"] == "http.disconnect":
                    await request.end_unread(announced, crossings)
                    return
                request.open_body(environ, message)
            job = ThreadSide.made_as(app, environ, scope, loop, response, self.options.strict)
            del environ  # error reports print the local variables of each frame of a traceback
            self._post(job, loop)
        except BaseException as error:
            if not await _end_early(request, scope, error, crossings):
                raise
            return
        try:
            is_plain = await request.respond(job, self._rests)
        except BaseException as error:
            if crossings is not None:
                request.record(job, crossings, error)
            raise
        if job.refused is not None and not response.disconnected:
            await request.end_listening()
            await _answer_busy(request, scope, job.refused)
            is_plain = False
        if is_plain:
            if crossings is not None:
                crossings.whole((job.posted_at, job.taken_at, job.left_at, monotonic(), job.head))
        elif crossings is not None:
            request.record(job, crossings)

    def _leaves_body_to_app(self, environ: Environ) -> bool:
        """Whether the app runs before its client is asked for the body.

        It can refuse the body then, but its thread waits for the client if it does not. So half of
        the threads are kept for other requests: the client is asked here once they are needed,
        which RFC 9110, 10.1.1 allows at any time.
        """
        if not _expects_continue(environ):
            return False
        if not self.options.buffer_request_bytes:
            return True
        pool = self._pool
        if not isinstance(pool, WorkerPool):
            return False  # how many threads there are is not known
        stats = pool.stats()
        return stats.running + stats.waiting < pool.max_threads // 2

    def headers_of(self, scope: Scope) -> RawHeaders:
        """The headers of a request that another app gets, under the rules of this one.

        :raises BadRequest: this app answers such a request with 400.
        """
        return self._environs.filtered(scope["headers"])

    def stats(self) -> PoolStats:
        """Threads, queue and waits of the pool this app runs on, at this moment."""
        return self._pool.stats()

    def limit_stats(self) -> dict[str, PoolStats]:
        """Requests, queue and waits of each path that has a limit, at this moment."""
        return {} if self._limited is None else self._limited.stats()

    # -- websocket and lifespan -----------------------------------------------------------------

    async def _serve_other(self, app: WsgiApp, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            await self._serve_lifespan(receive, send)
        elif kind != "websocket":
            raise ServerProtocolError(
                f"unsupported scope type {literal(kind)}; supported: 'http', 'websocket' "
                "and 'lifespan'"
            )
        else:
            serve: AsgiApp = partial(self._serve_websocket, app)
            if self.crossings is not None:
                serve = ObservedAsgi(serve, Settings(self.crossings.observers))
            await serve(scope, receive, send)

    async def _serve_websocket(
        self, app: WsgiApp, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if self._websockets is None:
            await self._refuse_websocket(app, scope, receive, send)
        else:
            await self._websockets.serve(app, scope, receive, send, *self._bind_loop())

    def _bind_loop(self) -> tuple[AbstractEventLoop, LoopInbox]:
        """The running loop, and its inbox."""
        try:
            loop = get_running_loop()
        except RuntimeError:
            raise no_asyncio_loop() from None
        bound = self._loop_and_inbox
        if bound is None or bound[0] is not loop:
            bound = self._loop_and_inbox = (loop, inbox_of(loop))
        return bound

    async def _refuse_websocket(
        self, app: WsgiApp, scope: Scope, receive: Receive, send: Send
    ) -> None:
        await receive()  # websocket.connect
        repeated.warning(
            "refused the WebSocket %s: %r is a WSGI app, which cannot serve WebSockets. "
            "Serve this path with an ASGI app",
            ClientText(scope["path"]),
            app,
        )
        await send(close_websocket("not a WebSocket"))

    async def _serve_lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await _check_loop(send)
                self._bind_loop()  # known from now on, for statistics
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self._drain()
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _make_pool(self) -> WorkerPool | BorrowedPool:
        executor = self.options.executor
        if executor is None:
            return WorkerPool(
                self.options.threads,
                backlog=self.options.backlog,
                wait_target_s=self.options.wait_target_s,
                loop_lag_target_s=self.options.loop_lag_target_s,
            )
        if isinstance(executor, WorkerPool):
            return executor
        return BorrowedPool(
            executor, backlog=self.options.backlog, wait_target_s=self.options.wait_target_s
        )

    def _make_time_limits(self) -> TimeLimits | None:
        queue_s, request_s = self.options.queue_timeout_s, self.options.request_timeout_s
        if queue_s is None and request_s is None:
            return None
        return TimeLimits(queue_s=queue_s, request_s=request_s)

    def record_crossings(self, make: Callable[[str | None], Crossings]) -> None:
        """Record all requests from now on. For adapters that the server calls.

        :param make: called with the name of the pool, unless others use that, too, or requests use
            others.
        """
        own = self._pool if self.options.executor is None and self._limited is None else None
        self.crossings = make(own.name if isinstance(own, WorkerPool) else None)
        self._environs.mark(COUNTED)
        self._use_pool(self._pool)

    def stop_recording(self) -> None:
        """Undo :meth:`record_crossings`: what is around this adapter counts."""
        self.crossings = None
        if isinstance(self._pool, WorkerPool):
            self._pool.record = recorder_of(self._pool.name)

    def _use_pool(self, pool: WorkerPool | BorrowedPool) -> None:
        self._pool = pool
        if isinstance(pool, WorkerPool) and self.crossings is not None and self.crossings.pool:
            pool.record = None  # these are its jobs
        limits = self.options.limits
        post_to = _post_to if self._time_limits is None else self._time_limits.post
        self._limited = LimitedPool(pool, limits, post_to) if limits else None
        if self._limited is not None:
            self._post: Post = self._limited.post
        elif self._time_limits is not None:
            self._post = partial(self._time_limits.post, pool)
        else:
            self._post = pool.post

    def _make_websockets(self) -> RawWebSockets | None:
        threads = self.options.websocket_threads
        if not threads:
            return None
        try:
            from bridge.wsgi_to_asgi.websocket import RawWebSockets
        except ModuleNotFoundError as error:
            raise ConfigError(
                "websocket_threads",
                threads,
                f"0, because {error.name} is not installed: "
                "pip install 'wsgi-asgi-bridge[websocket]'",
            ) from error
        return RawWebSockets(self._environs, threads, self.options.strict)

    async def _drain(self) -> None:
        """End our own threads after the running requests. A borrowed pool is left alone."""
        deadline = monotonic() + self.options.shutdown_timeout_s
        pools = []
        if self._websockets is not None:
            pools.append(self._websockets.replace_pool())
        loop = get_running_loop()
        limited, pool = self._limited, self._pool
        if self.options.executor is None and isinstance(pool, WorkerPool):
            pools.append(pool)
        if pools or limited is not None:
            self._use_pool(self._make_pool())  # a server may start us once more
        if limited is not None:
            pools += limited.end(loop)
        drains = [own_task(self._drain_pool(each), loop, name="bridge-drain") for each in pools]
        await asyncio.gather(*drains)
        await self._rests.drain(max(0.0, deadline - monotonic()))

    async def _drain_pool(self, pool: WorkerPool) -> None:
        _, inbox = self._bind_loop()
        empty = asyncio.Event()
        pool.close(on_empty=lambda: inbox.post(empty.set))
        try:
            async with asyncio.timeout(self.options.shutdown_timeout_s):
                await empty.wait()
        except TimeoutError:
            logger.warning(
                "%d requests still run after shutdown_timeout_s=%s; their threads are abandoned",
                pool.stats().running,
                self.options.shutdown_timeout_s,
            )
        else:
            pool.join(timeout_s=1)  # they are past their last job


def _post_to(
    pool: WorkerPool | BorrowedPool | Share, job: ThreadSide, loop: AbstractEventLoop
) -> None:
    pool.post(job, loop)


async def _end_early(
    request: LoopSide, scope: Scope, error: BaseException, crossings: Crossings | None
) -> bool:
    """Answer a request that the app will never see, and record it.

    :returns: False: it gets no answer, and the error has to be raised to the server.
    """
    is_answered = True
    if isinstance(error, BadRequest):
        await request.answer_itself(asgi_answer(400, str(error)))
    elif isinstance(error, BodyTimeout):
        await request.answer_timeout(scope, error)
    else:
        request.drop()
        is_answered = isinstance(error, (PoolSaturated, PoolClosed))
        if is_answered:
            await _answer_busy(request, scope, error)
    if crossings is not None:
        request.record(None, crossings, None if is_answered else error)
    return is_answered


async def _answer_busy(request: LoopSide, scope: Scope, error: BaseException) -> None:
    """Answer 503 (RFC 9110, 15.6.4)."""
    repeated.warning(
        "503 for %s %s: %s", ClientText(scope["method"]), ClientText(scope["path"]), error
    )
    await request.answer_itself(asgi_answer(503, BUSY, retry_after_s=1))


async def _check_loop(send: Send) -> None:
    """Fail the startup where no request could be served.

    :raises ServerProtocolError: the server runs no asyncio event loop.
    """
    try:
        server_loop()
    except ServerProtocolError as error:
        await send({"type": "lifespan.startup.failed", "message": str(error)})
        raise


def _expects_continue(environ: Environ) -> bool:
    """Whether the client waits to be asked for the body (RFC 9110, 10.1.1), if there is one."""
    expectation: str = environ["HTTP_EXPECT"]
    return expectation.strip(OWS).lower() == "100-continue"
