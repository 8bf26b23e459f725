"""One HTTP request on its way through `WsgiToAsgi`, seen from the event loop's thread.

What enters: the messages of the server's ``receive``, and what the exchange brings from its worker
thread. What leaves: ``wsgi.input``, and messages to the server's ``send``.
"""

from __future__ import annotations

import asyncio
import io
import logging
from functools import partial

from bridge._threads.context import adopt
from bridge._threads.loop_inbox import LoopInbox
from bridge.config import ToAsgiOptions
from bridge.errors import AppProtocolError
from bridge.types import Environ, Message, Receive, Send
from bridge.wsgi_to_asgi.bodies import RequestBody, ResponseBody
from bridge.wsgi_to_asgi.thread_side import Exchange

__all__ = ["HttpRequest"]

logger = logging.getLogger("bridge.wsgi_to_asgi")

READ_BUFFER = 16384


class HttpRequest:
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

    def _listen(self) -> None:
        """Notice from now on when the client leaves."""
        if self._listener is None:
            self._listener = asyncio.create_task(self._hear_client(), name="bridge-receive")

    def drop(self) -> None:
        """The app will never see this request."""
        self.leave()
        self._stop_listening()

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
                # In the opposite order to the worker's: see rule 2 of thread_side.
                response.look()
                done, ended = exchange.done, exchange.ended
                if self._complete or response.gone:
                    continue
                await self._deliver(exchange, ended)
                if not ended:
                    self._listen()  # it takes longer: notice when the client leaves
        except BaseException:
            self._abandon(exchange)  # cancelled, or the server refused what the app sent
            raise
        finally:
            self._stop_listening()
        if exchange.context:
            adopt(exchange.context)
        if exchange.error is not None:
            self._report(exchange)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
        if self._body is not None:
            self._body.fail("the request is over")

    def _abandon(self, exchange: Exchange) -> None:
        """The app goes on, and nobody waits for it: log what it raises in the end."""
        self.leave()
        self._attend(exchange)

    def _attend(self, exchange: Exchange, _: object = None) -> None:
        response = self.response
        response.look()
        if not exchange.done:
            response.changed().add_done_callback(partial(self._attend, exchange))
        elif exchange.error is not None:
            error, exchange.error = exchange.error, None
            logger.error("the app failed after the server had given up", exc_info=error)

    async def _deliver(self, exchange: Exchange, ended: bool) -> None:
        """Send what waits, after the head if it is the first."""
        response, send = self.response, self._send
        body = response.take()
        if not (body or ended):
            return
        try:
            if not self._started:
                self._started = True
                head = exchange.head or exchange.require_head()
                await send(
                    {"type": "http.response.start", "status": head.status, "headers": head.headers}
                )
                if self._body is not None and not ended:
                    self._body.answered()
            if exchange.file is not None:
                await send(exchange.file)
                response.accept(1)
            else:
                if waiting := response.waiting():
                    body = await self._send_one_by_one(body, waiting)
                if len(body) > self._options.response_window:
                    body = await self._send_pieces(body)
                await send({"type": "http.response.body", "body": body, "more_body": not ended})
                if not ended:  # else nobody waits for room
                    response.accept(len(body))
            self._complete = ended
        except OSError as error:  # ASGI HTTP spec, "Disconnected Client": send() may raise it
            logger.debug("send() raised: %r", error)
            self.leave()

    async def _send_one_by_one(self, body: bytes, waiting: int) -> bytes:
        """Send big chunks as they are; all but the last of those that wait, which is returned."""
        for _ in range(waiting):
            following = self.response.take()
            if not following:
                break
            await self._send_more(await self._send_pieces(body))
            body = following
        return body

    async def _send_pieces(self, body: bytes) -> bytes:
        """Send a huge body in pieces, for backpressure; all but the last, which is returned."""
        window = self._options.response_window
        if len(body) <= window:
            return body
        view = memoryview(body)
        while len(view) > window:
            await self._send_more(bytes(view[:window]))
            view = view[window:]
        return bytes(view)

    async def _send_more(self, body: bytes) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": True})
        self.response.accept(len(body))

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
