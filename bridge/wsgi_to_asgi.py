"""`WsgiToAsgi`: a WSGI app as an ASGI app. This is the event loop's side of it.

What enters: ASGI scopes, from any server. What leaves: ASGI messages. On the way:
``scope -> environ -> pool -> WSGI app -> streams -> send``.

The thread of the event loop builds the environ, posts an :class:`~bridge.exchange.Exchange` to the
pool, and sends what comes back; a worker thread does everything else. For an ordinary request the
two meet twice: the job going in, and the whole response coming out.
"""

from __future__ import annotations

import asyncio
import io
import logging
from asyncio import AbstractEventLoop
from concurrent.futures import Executor
from typing import Any

from bridge.config import ToAsgiOptions
from bridge.context import adopt
from bridge.environ import BadRequest, EnvironBuilder, TrustedEnviron, UnderscoreHeaders
from bridge.errors import AppProtocolError, PoolClosed, PoolSaturated, ServerProtocolError
from bridge.exchange import Exchange
from bridge.inbox import LoopInbox, inbox_of
from bridge.pool import BorrowedPool, PoolStats, WorkerPool
from bridge.streams import RequestBody, ResponseBody
from bridge.types import Environ, Receive, Scope, Send, WsgiApp

__all__ = ["WsgiToAsgi"]

logger = logging.getLogger("bridge.wsgi_to_asgi")

READ_BUFFER = 16384


class WsgiToAsgi:
    """An ASGI 3 app that runs a WSGI app on worker threads.

    Nothing starts here: threads come with the first requests, and a fork gets its own.

    :param app: any PEP 3333 callable. Called from several threads at once.
    :param threads: how many requests may run at once.
    :param executor: run the app here instead of on threads of its own: a shared
        :class:`~bridge.pool.WorkerPool`, or any ``concurrent.futures.Executor`` of threads. It
        stays the caller's to shut down, and ``threads`` is then its own affair.
    :param backlog: how many requests may wait for a thread. One more is answered with 503.
    :param body_window: how many bytes of a request body are read ahead of the app.
    :param response_window: how many bytes of a response the app may be ahead of the server.
    :param underscore_headers: ``"drop"``, ``"keep"`` or ``"refuse"`` (400) request headers with a
        ``_`` in their name, which CGI names cannot tell from ``-``.
    :param duplicate_header_limit: how many lines of one request header are accepted; more is 400.
    :param trusted_environ: ``(scope) -> {key: value}``: keys to add to the environ that no client
        may set, such as ``REMOTE_USER``. Called on the event loop: it must not block.
    :param shutdown_timeout_s: how long the lifespan's shutdown waits for running requests.
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
        body_window: int = 65536,
        response_window: int = 262144,
        underscore_headers: UnderscoreHeaders = "drop",
        duplicate_header_limit: int = 100,
        trusted_environ: TrustedEnviron | None = None,
        shutdown_timeout_s: float = 30,
    ) -> None:
        self.app = app
        self.options = ToAsgiOptions(
            threads=threads,
            executor=executor,
            backlog=backlog,
            body_window=body_window,
            response_window=response_window,
            underscore_headers=underscore_headers,
            duplicate_header_limit=duplicate_header_limit,
            trusted_environ=trusted_environ,
            shutdown_timeout_s=shutdown_timeout_s,
        )
        self._environs = EnvironBuilder(
            underscore_headers=underscore_headers,
            duplicate_header_limit=duplicate_header_limit,
            trusted_environ=trusted_environ,
        )
        self._pool = self._make_pool()
        self._seat: tuple[AbstractEventLoop, LoopInbox] | None = None

    def __repr__(self) -> str:
        return f"WsgiToAsgi({self.app!r})"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3. Any exception of the app is raised here, for the server to log and answer."""
        kind = scope["type"]
        if kind == "http":
            await self._serve(scope, receive, send)
        elif kind == "lifespan":
            await self._live(receive, send)
        elif kind == "websocket":
            await self._refuse_websocket(scope, receive, send)
        else:
            raise ServerProtocolError(
                f"scope type {kind!r}; a WSGI app can serve 'http', and 'lifespan' is answered"
            )

    def stats(self) -> PoolStats:
        """Threads, queue and waits of the pool this app runs on, at this moment."""
        return self._pool.stats()

    # -- http -----------------------------------------------------------------------------------

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        loop, inbox = self._sit()
        try:
            environ = self._environs.build(scope, None)
        except BadRequest as error:
            await _answer(send, 400, str(error))
            return
        request = _Request(loop, inbox, receive, send, self.options)
        if not await request.open_body(environ):
            return
        exchange = request.expect(self.app, environ, scope)
        try:
            self._pool.post(exchange, loop)
        except (PoolSaturated, PoolClosed) as error:
            request.leave()
            logger.warning("503 for %s %s: %s", scope["method"], scope["path"], error)
            await _answer(send, 503, "The server is busy. Please try again.", retry_after_s=1)
            return
        await request.respond()

    def _sit(self) -> tuple[AbstractEventLoop, LoopInbox]:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError as error:
            raise ServerProtocolError(
                "no asyncio event loop runs here; start the server on asyncio or uvloop, not trio"
            ) from error
        seat = self._seat
        if seat is None or seat[0] is not loop:
            seat = self._seat = (loop, inbox_of(loop))
        return seat

    # -- websocket and lifespan -----------------------------------------------------------------

    async def _refuse_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        logger.warning(
            "refused the WebSocket %s: %r is a WSGI app and cannot speak it. "
            "Serve this path with an ASGI app",
            scope["path"],
            self.app,
        )
        await send({"type": "websocket.close", "code": 1000, "reason": "not a WebSocket"})

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self._drain()
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _make_pool(self) -> WorkerPool | BorrowedPool:
        executor = self.options.executor
        if executor is None:
            return WorkerPool(self.options.threads, backlog=self.options.backlog)
        if isinstance(executor, WorkerPool):
            return executor
        return BorrowedPool(executor, backlog=self.options.backlog)

    async def _drain(self) -> None:
        """End our own threads, waiting for what runs. A pool that was lent to us is left alone."""
        if self.options.executor is not None or not isinstance(self._pool, WorkerPool):
            return
        pool, self._pool = self._pool, self._make_pool()  # a server may start us once more
        _, inbox = self._sit()
        empty = asyncio.Event()
        pool.close(on_empty=lambda: inbox.post(empty.set))
        try:
            await asyncio.wait_for(empty.wait(), self.options.shutdown_timeout_s)
        except TimeoutError:
            logger.warning(
                "%d requests still run after shutdown_timeout_s=%s; their threads are left behind",
                pool.stats().running,
                self.options.shutdown_timeout_s,
            )
        else:
            pool.join(timeout_s=1)  # they are past their last job


class _Request:
    """One HTTP request, on the event loop's thread: feeds the exchange and sends what it brings."""

    __slots__ = (
        "_body",
        "_complete",
        "_declared",
        "_exchange",
        "_inbox",
        "_listener",
        "_loop",
        "_news",
        "_options",
        "_receive",
        "_received",
        "_response",
        "_room",
        "_send",
        "_started",
        "_waiter",
    )

    def __init__(
        self,
        loop: AbstractEventLoop,
        inbox: LoopInbox,
        receive: Receive,
        send: Send,
        options: ToAsgiOptions,
    ) -> None:
        self._loop = loop
        self._inbox = inbox
        self._receive = receive
        self._send = send
        self._options = options
        self._response = ResponseBody(options.response_window, self._notify)
        self._exchange: Exchange
        self._waiter: asyncio.Future[None] | None = None
        self._news = False
        self._listener: asyncio.Task[None] | None = None
        self._body: RequestBody | None = None
        self._declared: int | None = None
        self._received = 0
        self._room: asyncio.Future[None] | None = None
        self._started = False
        self._complete = False

    # -- the request body -----------------------------------------------------------------------

    async def open_body(self, environ: Environ) -> bool:
        """Set ``wsgi.input``. False: the client has left already.

        A body that is complete in its first message is handed over whole. Anything longer is
        read on as the app asks. A thread is taken only once the first message is there; but with
        ``Expect: 100-continue`` the client waits for the app to read (RFC 9110, 10.1.1).
        """
        if "CONTENT_LENGTH" in environ:
            self._declared = int(environ["CONTENT_LENGTH"])
        if environ.get("HTTP_EXPECT", "").lower() == "100-continue":
            body = self._open_stream(environ)
            body.pause()
            self._room = self._loop.create_future()
            self._listen()
            return True
        message = await self._receive()
        if message["type"] == "http.disconnect":
            return False
        first: bytes = message.get("body", b"")
        if not message.get("more_body", False) and self._declared in (None, len(first)):
            environ["wsgi.input"] = io.BytesIO(first)
            if first:
                environ["CONTENT_LENGTH"] = str(len(first))  # chunked or HTTP/2: now it is known
            return True
        self._feed(self._open_stream(environ), message)
        self._listen()
        return True

    def _open_stream(self, environ: Environ) -> RequestBody:
        self._body = RequestBody(self._options.body_window, self._ask_for_room)
        environ["wsgi.input"] = io.BufferedReader(self._body, READ_BUFFER)
        return self._body

    def _feed(self, body: RequestBody, message: Any) -> bool:
        """One ``http.request`` message into the body. False: that was the last."""
        chunk: bytes = message.get("body", b"")
        self._received += len(chunk)
        if not body.feed(chunk):
            self._room = self._loop.create_future()
        if message.get("more_body", False):
            return True
        if self._declared not in (None, self._received):
            body.fail(f"the body ended after {self._received} of {self._declared} bytes")
        else:
            body.end()
        return False

    def _ask_for_room(self) -> None:
        """On the worker thread: the app has read enough for more to come."""
        self._inbox.post(self._make_room)

    def _make_room(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    # -- listening for the client ---------------------------------------------------------------

    def _listen(self) -> None:
        if self._listener is None:
            self._listener = self._loop.create_task(self._hear_client(), name="bridge-receive")

    async def _hear_client(self) -> None:
        """A task, for requests that need it: feed the body, then wait for the client to leave."""
        try:
            await self._hear()
        except OSError as error:
            logger.debug("receive() raised: %r", error)
        except Exception:
            logger.exception("receive() raised; the request is taken for disconnected")
        self.leave()

    async def _hear(self) -> None:
        open_body = self._body
        while True:
            if self._room is not None:
                await self._room
                self._room = None
            message = await self._receive()
            if message["type"] != "http.request":
                return
            if open_body is not None and not self._feed(open_body, message):
                open_body = None

    def leave(self) -> None:
        """The client has left, or the server gives up: whoever waits for either hears of it."""
        self._response.leave()
        if self._body is not None:
            self._body.fail("the client left before the request body was complete")

    # -- the response ---------------------------------------------------------------------------

    def expect(self, app: WsgiApp, environ: Environ, scope: Scope) -> Exchange:
        """The job that will bring the response."""
        self._exchange = Exchange(app, environ, scope, self._loop, self._response)
        return self._exchange

    def _notify(self) -> None:
        """On the worker thread: there is something to take."""
        self._inbox.post(self._wake)

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is None:
            self._news = True
        elif not waiter.done():
            waiter.set_result(None)

    async def respond(self) -> None:
        """Send the response as it comes, until the app is through with the request.

        :raises Exception: whatever the app raised before its response was complete.
        """
        try:
            await self._deliver_all()
        except BaseException:
            self.leave()  # cancelled, or the server refused what the app sent
            raise
        finally:
            if self._listener is not None:
                self._listener.cancel()
        exchange = self._exchange
        adopt(exchange.context)
        error, exchange.error = exchange.error, None
        if error is not None:
            self._report(error)

    async def _deliver_all(self) -> None:
        exchange = self._exchange
        done = False
        while not done:
            await self._changed()
            # In the opposite order to the worker's: see rule 2 of bridge.exchange.
            done, ended = exchange.done, exchange.ended
            chunks = self._response.take()
            if self._complete or self._response.gone:
                continue
            if chunks or ended:
                await self._deliver(chunks, ended)
            if not ended:
                self._listen()  # it takes longer: notice when the client leaves

    async def _changed(self) -> None:
        if not self._news:
            self._waiter = self._loop.create_future()
            await self._waiter
            self._waiter = None
        self._news = False

    async def _deliver(self, chunks: list[bytes], ended: bool) -> None:
        try:
            if not self._started:
                await self._start()
            if self._exchange.file is not None:
                await self._send(self._exchange.file)
                self._response.accept(1)
            else:
                await self._send_body(chunks, ended)
            self._complete = ended
        except OSError as error:  # ASGI HTTP spec, "Disconnected Client": send() may raise it
            logger.debug("send() raised: %r", error)
            self.leave()

    async def _start(self) -> None:
        head = self._exchange.head
        assert head is not None  # the worker commits the head before its first chunk
        self._started = True
        await self._send(
            {"type": "http.response.start", "status": head.status, "headers": head.headers}
        )

    async def _send_body(self, chunks: list[bytes], ended: bool) -> None:
        """Send all the chunks that wait as one message; a huge one in pieces, for backpressure."""
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        if len(body) > self._options.response_window:
            body = await self._send_pieces(body)
        if body or ended:
            await self._send({"type": "http.response.body", "body": body, "more_body": not ended})
            self._response.accept(len(body))

    async def _send_pieces(self, body: bytes) -> bytes:
        """All but the last window of ``body``, which is returned."""
        window = self._options.response_window
        view = memoryview(body)
        while len(view) > window:
            piece = bytes(view[:window])
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
            self._response.accept(window)
            view = view[window:]
        return bytes(view)

    def _report(self, error: BaseException) -> None:
        """Raise the app's error to the server, unless the response is complete.

        Then it is logged here: a server would close the connection for it, and with it the next
        request.
        """
        if self._complete:
            logger.error("the app failed after its response was complete", exc_info=error)
        elif isinstance(error, Exception):
            raise error
        else:  # SystemExit and its like would end the event loop, CancelledError would lie to it
            raise AppProtocolError(f"the app raised {error!r}, which is no Exception") from error


async def _answer(send: Send, status: int, text: str, *, retry_after_s: int | None = None) -> None:
    body = text.encode("utf-8")
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
    ]
    if retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % retry_after_s))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
