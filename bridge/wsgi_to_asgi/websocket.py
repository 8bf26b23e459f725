"""WebSockets of WSGI apps that take the raw socket from the environ: flask-sock, simple-websocket.

Such an app finds a connected socket in ``environ["werkzeug.socket"]``, as under Werkzeug's own
server, and implements RFC 6455 on it. It gets one end of a socket pair; at the other end, on the
loop thread, wsproto acts as its client and is translated to and from ASGI messages.

Rule 1. The app runs on a worker thread of a separate pool, as an ordinary
        :class:`~bridge.wsgi_to_asgi.thread_side.ThreadSide`: one thread for as long as the socket
        is open, and none of those that serve HTTP.
Rule 2. Nothing is buffered here. The loop reads from one side only as much as it has written to the
        other, so a stalled client blocks the app in ``send()``, and the other way round.
Rule 3. The app's end belongs to the app: only the app closes it, because one of its threads may be
        reading it. It is shut down through a duplicate, and closed here only if the app has not
        accepted the WebSocket.
Rule 4. Data that the app has written before it returns is passed on before the close.
Rule 5. A WebSocket counts as open until its thread is free, even long after the disconnect.
Rule 6. An app may end its WebSocket with a ``ConnectionError``, which Werkzeug's server does not
        log: Flask-SocketIO does. Only with that class itself: ``ConnectionRefusedError`` and the
        like come from something that the app calls.

If the app answers with an ordinary response, the handshake is denied with it.
"""

from __future__ import annotations

import asyncio
import io
import logging
import socket
from asyncio import AbstractEventLoop
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeAlias

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from bridge._http.answers import refused_websocket
from bridge._http.client_text import ClientText, literal
from bridge._http.response_heads import check_websocket_headers
from bridge._http.rules import BadRequest, is_token
from bridge._http.scope_to_environ import EnvironBuilder
from bridge._repeated_log import RepeatedLog
from bridge._threads.context import adopt_changes
from bridge._threads.job import JobWithEnd
from bridge._threads.loop_inbox import LoopInbox
from bridge._threads.pool import WorkerPool
from bridge.errors import AppProtocolError, PoolClosed, interrupts
from bridge.types import Message, RawHeaders, Receive, Scope, Send, WsgiApp
from bridge.wsgi_to_asgi.bodies import ResponseBody
from bridge.wsgi_to_asgi.thread_side import ThreadSide

__all__ = ["RawWebSockets"]

logger = logging.getLogger("bridge.wsgi_to_asgi")
repeated = RepeatedLog(logger)

Post: TypeAlias = Callable[[ThreadSide, AbstractEventLoop, LoopInbox], None]

READ_SIZE = 65536
WINDOW = 65536
NORMAL, INTERNAL_ERROR = 1000, 1011
RESERVED_CLOSE_CODES = frozenset({1004, 1005, 1006, 1015})  # RFC 6455, 7.4.1
_HANDSHAKE = frozenset(
    (
        b"connection",
        b"upgrade",
        b"sec-websocket-key",
        b"sec-websocket-version",
        b"sec-websocket-extensions",
        b"sec-websocket-protocol",
    )
)
"""Headers of the handshake: the app's handshake is with wsproto, separate from the client's."""


class RawWebSockets:
    """All the WebSockets of one adapter. On the loop thread.

    :param threads: how many WebSockets may be open at once. One more is refused with 503.
    :param strict: of the response of an app that refuses a WebSocket, see
        :class:`~bridge.WsgiToAsgi`.
    :ivar pool: its threads run the app, one for each WebSocket.
    """

    def __init__(self, environs: EnvironBuilder, threads: int, strict: bool) -> None:
        self._environs = environs
        self._threads = threads
        self._strict = strict
        self.pool = self._make_pool()
        self._slots = _Slots()

    def _make_pool(self) -> WorkerPool:
        return WorkerPool(
            self._threads, backlog=self._threads, wait_target_s=None, name="bridge-websocket"
        )

    def replace_pool(self) -> WorkerPool:
        """Make a new pool, in case the server starts the app again.

        :returns: the old one, which the calling code closes.
        """
        pool, self.pool = self.pool, self._make_pool()
        self._slots = _Slots()
        return pool

    async def serve(
        self,
        app: WsgiApp,
        scope: Scope,
        receive: Receive,
        send: Send,
        loop: AbstractEventLoop,
        inbox: LoopInbox,
    ) -> None:
        """One WebSocket, from the handshake to the end of the app.

        :param app: gets a socket that is connected and blocking in ``environ["werkzeug.socket"]``.
        :raises Exception: whatever the app raised.
        """
        if (await receive())["type"] != "websocket.connect":
            return
        if self._slots.taken >= self._threads:
            repeated.warning(
                "503 for the WebSocket %s: all %d websocket_threads are in use",
                ClientText(scope["path"]),
                self._slots.taken,
            )
            await _deny(scope, send, 503, [(b"retry-after", b"1")], b"")
            return
        try:
            websocket = _RawWebSocket(scope, receive, send, loop)
            await websocket.serve(app, self._environs, self._post, inbox, strict=self._strict)
        except BadRequest as error:
            await _deny(scope, send, 400, [], str(error).encode())
        except PoolClosed as error:
            repeated.warning("503 for the WebSocket %s: %s", ClientText(scope["path"]), error)
            await _deny(scope, send, 503, [], b"")

    def _post(self, job: ThreadSide, loop: AbstractEventLoop, inbox: LoopInbox) -> None:
        slots = self._slots
        slots.taken += 1
        try:
            self.pool.post(JobWithEnd(job, partial(slots.release, inbox)), loop)
        except BaseException:
            slots.taken -= 1
            raise


class _Slots:
    """How many threads of one pool are taken. Counted on the loop thread."""

    def __init__(self) -> None:
        self.taken = 0

    def release(self, inbox: LoopInbox) -> None:
        """From a worker thread that has finished with its WebSocket."""
        if not inbox.post(self._release):
            self._release()  # the loop is closed, so no other thread counts now

    def _release(self) -> None:
        self.taken -= 1


class _RawWebSocket:
    """One WebSocket."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._scope = scope
        self._receive = receive
        self._send = send
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._writing = asyncio.Lock()
        self._pong: asyncio.Task[None] | None = None
        self._receiving: asyncio.Task[None] | None = None
        self._parts: list[Any] = []  # of one message: all str, or all bytes
        self._accepted = False
        self._ended = False  # the client has disconnected, or was sent a close
        self._rejected = 0  # the status of a handshake that the app refused on the socket
        self._fault: Exception | None = None

    async def serve(
        self,
        app: WsgiApp,
        environs: EnvironBuilder,
        post: Post,
        inbox: LoopInbox,
        *,
        strict: bool,
    ) -> None:
        """Run the app, and pass messages on in both directions."""
        request = self._request()
        environ = environs.build(request)
        environ["asgi.scope"].mapping = self._scope  # of the WebSocket, not of its handshake
        environ["wsgi.input"] = io.BytesIO()
        response = ResponseBody(inbox, WINDOW)
        self._our_end, app_end = socket.socketpair()
        with self._our_end, app_end.dup() as handle:
            self._our_end.setblocking(False)
            app_end.setblocking(True)  # whatever socket.setdefaulttimeout() says
            environ["werkzeug.socket"] = app_end
            job = ThreadSide.made_as(app, environ, request, self._loop, response, strict)
            try:
                post(job, self._loop, inbox)
                await self._run(job, response, handle)
            finally:
                response.disconnect()
                if not self._accepted:
                    app_end.close()

    def _request(self) -> Scope:
        """The handshake as an HTTP request: wsproto's, with the other headers of the client."""
        offered = self._scope.get("subprotocols") or []
        # hypercorn passes on what is between two commas, and wsproto cannot send just anything.
        subprotocols = [name for name in offered if is_token(name)]
        handshake = self._protocol.send(Request(host="app", target="/", subprotocols=subprotocols))
        lines = [line.partition(b": ") for line in handshake.split(b"\r\n")[1:] if line]
        own: RawHeaders = [(name.lower(), value) for name, _, value in lines]
        others = [(name, value) for name, value in self._scope["headers"] if name not in _HANDSHAKE]
        if any(name == b"host" for name, _ in others):
            own = [(name, value) for name, value in own if name != b"host"]
        secure = self._scope.get("scheme") in ("wss", "https")
        return {
            **self._scope,
            "type": "http",
            "method": "GET",
            "scheme": "https" if secure else "http",
            "headers": others + own,
        }

    async def _run(self, job: ThreadSide, response: ResponseBody, handle: socket.socket) -> None:
        sending = asyncio.create_task(self._from_app(), name="bridge-websocket-send")
        try:
            body = await _wait_for_app(job, response)
            with suppress(OSError):  # on some systems it is shut down already
                handle.shutdown(socket.SHUT_WR)  # rule 4: the end follows what is pending
            await sending
        finally:
            await _stop(sending, self._receiving, self._pong)
        adopt_changes(job.context, response.seen)
        await self._end(job, body)

    async def _end(self, job: ThreadSide, body: bytes) -> None:
        """The app has finished: close or deny the WebSocket, unless the client has disconnected."""
        error, job.error = job.error, None
        if type(error) is ConnectionError and self._accepted:
            logger.debug("the app ended the WebSocket: %s", literal(error))
            error = None
        error = error or self._fault
        head = job.head
        try:
            if self._accepted:
                failed = error is not None or (head is not None and head.status >= 500)
                await self._close(INTERNAL_ERROR if failed else NORMAL, "")
            elif error is not None:
                await self._deny(500, [], b"")
            elif self._rejected or head is None:
                await self._deny(self._rejected or 500, [], b"")
            else:
                await self._deny(head.status, head.headers, body)
            if error is not None and interrupts(error):
                raise AppProtocolError(f"the app raised {literal(error)}") from error
            if error is not None:
                raise error
        finally:
            del error  # its traceback holds this frame

    async def _deny(self, status: int, headers: RawHeaders, body: bytes) -> None:
        if not self._ended:
            self._ended = True
            await _deny(self._scope, self._send, status, headers, body)

    # -- from the app to the client -------------------------------------------------------------

    async def _from_app(self) -> None:
        """Pass on what the app writes, until it has returned and all bytes are read.

        After a disconnect the bytes are dropped, so that the app does not block in ``send()``: it
        learns of the disconnect from a close frame.
        """
        while data := await self._loop.sock_recv(self._our_end, READ_SIZE):
            if self._ended:
                continue
            try:
                self._protocol.receive_data(data)
                for event in self._protocol.events():
                    await self._pass_on(event)
            except AppProtocolError as error:
                await self._refuse_app(error)
            except RemoteProtocolError as error:
                broken = f"the app broke RFC 6455 on its socket: {error}"
                await self._refuse_app(AppProtocolError(broken))
            except Exception as error:
                self._fault = error  # the server's send() failed; raised to it at the end
                self._ended = True

    async def _refuse_app(self, fault: AppProtocolError) -> None:
        """End the WebSocket of an app that has broken a rule. Its socket ends, too."""
        self._fault = fault
        with suppress(OSError):
            self._our_end.shutdown(socket.SHUT_WR)
        if self._accepted:
            await self._close(INTERNAL_ERROR, "")
        else:
            await self._deny(500, [], b"")

    async def _pass_on(self, event: Event) -> None:
        if isinstance(event, (TextMessage, BytesMessage)):
            await self._pass_on_message(event)
        elif isinstance(event, AcceptConnection):
            await self._accept(event)
        elif isinstance(event, RejectConnection):
            self._rejected = event.status_code
        elif isinstance(event, CloseConnection):
            await self._close(event.code, event.reason or "")
            # RFC 6455, 5.5.1: a thread of the app may wait for the reply to its close.
            await self._write(event.response())
        elif isinstance(event, Ping) and (self._pong is None or self._pong.done()):
            # In a task: an app that sends and does not read must not stop its own messages.
            self._pong = asyncio.create_task(self._write(event.response()))

    async def _accept(self, event: AcceptConnection) -> None:
        headers = check_websocket_headers(event.extra_headers)
        self._accepted = True
        await self._send_to_client(
            {"type": "websocket.accept", "subprotocol": event.subprotocol, "headers": headers}
        )
        self._receiving = asyncio.create_task(self._to_app(), name="bridge-websocket-receive")

    async def _pass_on_message(self, event: TextMessage | BytesMessage) -> None:
        """One frame of a message; the message is sent with its last frame."""
        self._parts.append(event.data)
        if not event.message_finished:
            return
        parts, self._parts = self._parts, []
        if isinstance(event, TextMessage):
            await self._send_to_client({"type": "websocket.send", "text": "".join(parts)})
        else:
            data = b"".join(map(bytes, parts))
            await self._send_to_client({"type": "websocket.send", "bytes": data})

    async def _close(self, code: int, reason: str) -> None:
        if self._receiving is not None:
            self._receiving.cancel()  # granian sends no close frame while a receive() waits
        if not self._ended:
            code = (
                NORMAL if code in RESERVED_CLOSE_CODES else int(code)
            )  # servers refuse wsproto's enum
            await self._send_to_client({"type": "websocket.close", "code": code, "reason": reason})
            self._ended = True

    async def _send_to_client(self, message: Message) -> None:
        if self._ended:
            return
        try:
            await self._send(message)
        except OSError as error:  # ASGI spec, "Disconnected Client"
            logger.debug("send() raised: %r", error)
            self._ended = True

    # -- from the client to the app -------------------------------------------------------------

    async def _to_app(self) -> None:
        """Pass on what the client sends, and its disconnect."""
        code, reason = 1006, None
        try:
            while (message := await self._receive())["type"] == "websocket.receive":
                text = message.get("text")
                await self._write(
                    TextMessage(text) if text is not None else BytesMessage(message["bytes"])
                )
            code, reason = message.get("code") or 1005, message.get("reason")
        except Exception as error:
            logger.debug("receive() raised: %r", error)
        self._ended = True
        if code in RESERVED_CLOSE_CODES:
            code, reason = CloseReason.NO_STATUS_RCVD, None
        await self._write(CloseConnection(code, reason or None))

    async def _write(self, event: Event) -> None:
        """One frame to the app, which may have ended or closed its side."""
        async with self._writing:
            try:
                data = self._protocol.send(event)
                await self._loop.sock_sendall(self._our_end, data)
            except (OSError, LocalProtocolError) as error:
                logger.debug("the app has closed its side of the WebSocket: %r", error)


async def _stop(*tasks: asyncio.Task[None] | None) -> None:
    """Cancel tasks and wait for them: the loop must not watch a socket that is closed."""
    running = [task for task in tasks if task is not None]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def _wait_for_app(job: ThreadSide, response: ResponseBody) -> bytes:
    """Wait until the app has finished.

    :returns: the first bytes of its response, which is sent if it has refused the WebSocket.
    """
    body, done = b"", False
    while not done:
        await response.changed()
        response.poll()
        done = job.done
        if job.file is not None:
            response.accept(1)
        while chunk := response.take():
            response.accept(len(chunk))
            body = (body + chunk)[:WINDOW]
    return body


async def _deny(scope: Scope, send: Send, status: int, headers: RawHeaders, body: bytes) -> None:
    for message in refused_websocket(scope, status, headers=headers, body=body):
        await send(message)
