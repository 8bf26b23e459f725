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

from bridge.config import ToAsgiOptions
from bridge.context import adopt
from bridge.environ import BadRequest, EnvironBuilder, TrustedEnviron, UnderscoreHeaders
from bridge.errors import AppProtocolError, PoolClosed, PoolSaturated, ServerProtocolError
from bridge.exchange import Exchange
from bridge.inbox import LoopInbox, inbox_of
from bridge.pool import BorrowedPool, PoolStats, WorkerPool
from bridge.streams import RequestBody, ResponseBody
from bridge.types import Environ, Message, Receive, Scope, Send, WsgiApp

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
            environ = self._environs.build(scope)
        except BadRequest as error:
            await _answer(send, 400, str(error))
            return
        request = _Request(receive, send, inbox, self.options)
        if expects_continue(environ):
            request.open_body(environ)
        else:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            request.open_body(environ, message)
        exchange = Exchange(self.app, environ, scope, loop, request.response)
        try:
            self._pool.post(exchange, loop)
        except (PoolSaturated, PoolClosed) as error:
            request.leave()
            logger.warning("503 for %s %s: %s", scope["method"], scope["path"], error)
            await _answer(send, 503, "The server is busy. Please try again.", retry_after_s=1)
            return
        await request.respond(exchange)

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
    """One HTTP request on the event loop's thread: feeds the app and sends what it brings."""

    __slots__ = (
        "_body",
        "_complete",
        "_declared",
        "_inbox",
        "_listener",
        "_options",
        "_receive",
        "_received",
        "_send",
        "_started",
        "response",
    )

    def __init__(
        self, receive: Receive, send: Send, inbox: LoopInbox, options: ToAsgiOptions
    ) -> None:
        self._receive = receive
        self._send = send
        self._inbox = inbox
        self._options = options
        self.response = ResponseBody(inbox, options.response_window)
        self._listener: asyncio.Task[None] | None = None
        self._body: RequestBody | None = None  # only if it takes more than one message
        self._declared: int | None = None
        self._received = 0
        self._started = False
        self._complete = False

    # -- the request body -----------------------------------------------------------------------

    def open_body(self, environ: Environ, message: Message | None = None) -> None:
        """Set ``wsgi.input``.

        A body that is complete in its first message is handed over whole. Anything longer is read
        on as the app asks for it.

        :param message: the first one; None leaves it to the app to ask for it.
        """
        declared = environ.get("CONTENT_LENGTH")
        if declared is not None:
            self._declared = int(declared)
        if message is not None and not message.get("more_body", False):
            whole: bytes = message.get("body", b"")
            if declared is None and whole:
                environ["CONTENT_LENGTH"] = str(len(whole))  # chunked, but now it is known
            if declared is None or self._declared == len(whole):
                environ["wsgi.input"] = io.BytesIO(whole)
                return
        self._body = body = RequestBody(self._inbox, self._options.body_window)
        environ["wsgi.input"] = io.BufferedReader(body, READ_BUFFER)
        if message is None:
            body.pause()
        if message is None or self._feed(body, message):
            self._listen()

    def _feed(self, body: RequestBody, message: Message) -> bool:
        """One ``http.request`` message into the body. False: it was the last."""
        chunk: bytes = message.get("body", b"")
        self._received += len(chunk)
        body.feed(chunk)
        if message.get("more_body", False):
            return True
        if self._declared is None or self._declared == self._received:
            body.end()
        else:
            body.fail(f"the body ended after {self._received} of {self._declared} bytes")
        return False

    # -- listening for the client ---------------------------------------------------------------

    def _listen(self) -> None:
        if self._listener is None:
            self._listener = asyncio.create_task(self._hear_client(), name="bridge-receive")

    async def _hear_client(self) -> None:
        """A task, for requests that need it: feed the body, then wait for the client to leave."""
        try:
            message = await self._hear(self._body)
        except OSError as error:
            logger.debug("receive() raised: %r", error)
        except Exception:
            logger.exception("receive() raised; the request is taken for disconnected")
        else:
            if message["type"] == "http.request":
                return  # a server with more body than it announced: nothing follows from it
        self.leave()

    async def _hear(self, body: RequestBody | None) -> Message:
        """The first message that is not part of the body."""
        while True:
            if body is not None:
                await body.room()
            message = await self._receive()
            if body is None or message["type"] != "http.request":
                return message
            if not self._feed(body, message):
                body = None

    def leave(self) -> None:
        """The client has left, or the server gives up: whoever waits for either hears of it."""
        self.response.leave()
        if self._body is not None:
            self._body.fail("the client left before the request body was complete")

    # -- the response ---------------------------------------------------------------------------

    async def respond(self, exchange: Exchange) -> None:
        """Send the response as it comes, until the app is through with the request.

        :raises Exception: whatever the app raised before its response was complete.
        """
        response = self.response
        done = False
        try:
            while not done:
                await response.changed()
                # In the opposite order to the worker's: see rule 2 of bridge.exchange.
                done, ended = exchange.done, exchange.ended
                chunks = response.take()
                if self._complete or response.gone:
                    continue
                if chunks or ended:
                    await self._deliver(exchange, chunks, ended)
                if not ended:
                    self._listen()  # it takes longer: notice when the client leaves
        except BaseException:
            self.leave()  # cancelled, or the server refused what the app sent
            raise
        finally:
            if self._listener is not None:
                self._listener.cancel()
        adopt(exchange.context)
        if exchange.error is not None:
            self._report(exchange)

    async def _deliver(self, exchange: Exchange, chunks: list[bytes], ended: bool) -> None:
        """Send all that waits: the chunks as one message, after the head if they are the first."""
        send = self._send
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        try:
            if not self._started:
                self._started = True
                head = exchange.require_head()
                await send(
                    {"type": "http.response.start", "status": head.status, "headers": head.headers}
                )
            if exchange.file is not None:
                await send(exchange.file)
                self.response.accept(1)
            else:
                if len(body) > self._options.response_window:
                    body = await self._send_pieces(body)
                await send({"type": "http.response.body", "body": body, "more_body": not ended})
                self.response.accept(len(body))
            self._complete = ended
        except OSError as error:  # ASGI HTTP spec, "Disconnected Client": send() may raise it
            logger.debug("send() raised: %r", error)
            self.leave()

    async def _send_pieces(self, body: bytes) -> bytes:
        """Send a huge body in pieces, for backpressure; all but the last, which is returned."""
        window = self._options.response_window
        view = memoryview(body)
        while len(view) > window:
            piece = bytes(view[:window])
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
            self.response.accept(window)
            view = view[window:]
        return bytes(view)

    def _report(self, exchange: Exchange) -> None:
        """Raise the app's error to the server, unless the response is complete.

        Then it is logged here: a server would close the connection for it, and with it the next
        request.
        """
        error, exchange.error = exchange.error, None
        try:
            if error is None:
                return
            if self._complete:
                logger.error("the app failed after its response was complete", exc_info=error)
            elif isinstance(error, Exception):
                raise error
            else:  # SystemExit and its like would end the event loop, CancelledError lie to it
                raise AppProtocolError(f"the app raised {error!r}, no Exception") from error
        finally:
            del error  # its traceback holds this frame


def expects_continue(environ: Environ) -> bool:
    """Whether the client waits for the app to read the body (RFC 9110, 10.1.1).

    Any other client sends its body anyway, so a thread is taken only once some of it is there.
    """
    expectation: str = environ.get("HTTP_EXPECT", "")
    return expectation.lower() == "100-continue"


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
