"""WebSockets of WSGI apps that take the raw socket from the environ: flask-sock, simple-websocket.

What enters: a ``websocket`` scope, on the event loop, and a WSGI app that finds a connected socket
in ``environ["werkzeug.socket"]``, as under Werkzeug's own server, and speaks RFC 6455 on it. What
leaves: ASGI messages. The app is given one end of a socket pair; at the other end, on the loop,
wsproto plays its client.

Rule 1. The app runs on a worker thread of a pool of its own kind, as an ordinary
        :class:`~bridge.wsgi_to_asgi.thread_side.ThreadSide`: one thread for as long as the socket
        is open, and none of those that serve HTTP.
Rule 2. Nothing is buffered here. The loop takes from one side only what it has handed to the other,
        so a client that stalls stops the app in ``send()``, and the other way round.
Rule 3. The app's end belongs to the app: only the app closes it, because a thread of the app's may
        be reading it. It is shut down through a duplicate, and closed here only if the app has not
        begun to speak.
Rule 4. What the app has written before it returned is passed on before the end is.
Rule 5. A WebSocket counts as open until its thread is free, however long ago the client has left.

An app that answers with an ordinary response instead has refused the WebSocket, with that response.
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
from typing import TypeAlias

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
from bridge._http.rules import BadRequest
from bridge._http.scope_to_environ import EnvironBuilder
from bridge._threads.context import adopt
from bridge._threads.job import JobWithEnd
from bridge._threads.loop_inbox import LoopInbox
from bridge._threads.pool import WorkerPool
from bridge.errors import AppProtocolError, PoolClosed
from bridge.types import Message, RawHeaders, Receive, Scope, Send, WsgiApp
from bridge.wsgi_to_asgi.bodies import ResponseBody
from bridge.wsgi_to_asgi.thread_side import ThreadSide

__all__ = ["RawWebSockets"]

logger = logging.getLogger("bridge.wsgi_to_asgi")

Post: TypeAlias = Callable[[ThreadSide, AbstractEventLoop, LoopInbox], None]

READ_SIZE = 65536
WINDOW = 65536
NORMAL, INTERNAL_ERROR = 1000, 1011
NOT_TO_BE_SENT = frozenset({1004, 1005, 1006, 1015})  # RFC 6455, 7.4.1
_OURS = frozenset(
    (
        b"connection",
        b"upgrade",
        b"sec-websocket-key",
        b"sec-websocket-version",
        b"sec-websocket-extensions",
        b"sec-websocket-protocol",
    )
)
"""Headers of the handshake: the app's is with us, and has nothing to do with the client's."""


class RawWebSockets:
    """All the WebSockets of one WSGI app. On the event loop's thread.

    :param app: gets a socket that is connected and blocking in ``environ["werkzeug.socket"]``.
    :param threads: how many WebSockets may be open at once. One more is refused with 503.
    :ivar pool: where the app runs for each of them.
    """

    def __init__(self, app: WsgiApp, environs: EnvironBuilder, threads: int) -> None:
        self._app = app
        self._environs = environs
        self._threads = threads
        self.pool = self._make_pool()
        self._slots = _Slots()

    def _make_pool(self) -> WorkerPool:
        return WorkerPool(self._threads, backlog=self._threads, name="bridge-websocket")

    def replace_pool(self) -> WorkerPool:
        """Take a new pool, for the case that the server starts us once more.

        :returns: the old one, for the caller to close.
        """
        pool, self.pool = self.pool, self._make_pool()
        self._slots = _Slots()
        return pool

    async def serve(
        self, scope: Scope, receive: Receive, send: Send, loop: AbstractEventLoop, inbox: LoopInbox
    ) -> None:
        """One WebSocket, from the handshake to the end of the app.

        :raises Exception: whatever the app raised.
        """
        if (await receive())["type"] != "websocket.connect":
            return
        if self._slots.taken >= self._threads:
            logger.warning(
                "503 for the WebSocket %s: %d are open, as many as websocket_threads allows",
                scope["path"],
                self._slots.taken,
            )
            await _deny(scope, send, 503, [(b"retry-after", b"1")], b"")
            return
        try:
            socket = _RawWebSocket(scope, receive, send, loop)
            await socket.serve(self._app, self._environs, self._post, inbox)
        except BadRequest as error:
            await _deny(scope, send, 400, [], str(error).encode())
        except PoolClosed as error:
            logger.warning("503 for the WebSocket %s: %s", scope["path"], error)
            await _deny(scope, send, 503, [], b"")

    def _post(self, job: ThreadSide, loop: AbstractEventLoop, inbox: LoopInbox) -> None:
        slots = self._slots
        slots.taken += 1
        try:
            self.pool.post(JobWithEnd(job, partial(slots.leave, inbox)), loop)
        except BaseException:
            slots.taken -= 1
            raise


class _Slots:
    """How many threads of one pool are taken. Counted on the loop's thread."""

    def __init__(self) -> None:
        self.taken = 0

    def leave(self, inbox: LoopInbox) -> None:
        """From a worker thread, which is through with its WebSocket."""
        if not inbox.post(self._leave):
            self._leave()  # the loop is closed, and no other counts at this moment

    def _leave(self) -> None:
        self.taken -= 1


class _RawWebSocket:
    """One of them."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._scope = scope
        self._receive = receive
        self._send = send
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._writing = asyncio.Lock()
        self._pong: asyncio.Task[None] | None = None
        self._hearing: asyncio.Task[None] | None = None
        self._parts: list[str] | list[bytes] = []
        self._accepted = False
        self._over = False  # the client has left, or has been told to
        self._rejected = 0  # the status of a handshake that the app refused on the socket
        self._fault: Exception | None = None

    async def serve(
        self, app: WsgiApp, environs: EnvironBuilder, post: Post, inbox: LoopInbox
    ) -> None:
        """Run the app, and carry what goes to and fro."""
        request = self._request()
        environ = environs.build(request)
        environ["asgi.scope"] = self._scope
        environ["wsgi.input"] = io.BytesIO()
        response = ResponseBody(inbox, WINDOW)
        self._ours, theirs = socket.socketpair()
        with self._ours, theirs.dup() as handle:
            self._ours.setblocking(False)
            theirs.setblocking(True)  # whatever socket.setdefaulttimeout() says
            environ["werkzeug.socket"] = theirs
            job = ThreadSide(app, environ, request, self._loop, response)
            try:
                post(job, self._loop, inbox)
                await self._run(job, response, handle)
            finally:
                response.disconnect()
                if not self._accepted:
                    theirs.close()

    def _request(self) -> Scope:
        """The handshake as an HTTP request: wsproto's, with what the client sent besides."""
        words = self._protocol.send(
            Request(host="app", target="/", subprotocols=self._scope.get("subprotocols") or [])
        )
        lines = [line.partition(b": ") for line in words.split(b"\r\n")[1:] if line]
        own: RawHeaders = [(name.lower(), value) for name, _, value in lines]
        theirs = [(name, value) for name, value in self._scope["headers"] if name not in _OURS]
        if any(name == b"host" for name, _ in theirs):
            own = [(name, value) for name, value in own if name != b"host"]
        secure = self._scope.get("scheme") in ("wss", "https")
        return {
            **self._scope,
            "type": "http",
            "method": "GET",
            "scheme": "https" if secure else "http",
            "headers": theirs + own,
        }

    async def _run(self, job: ThreadSide, response: ResponseBody, handle: socket.socket) -> None:
        speaking = asyncio.create_task(self._from_app(), name="bridge-websocket-send")
        try:
            body = await _whole(job, response)
            with suppress(OSError):  # some systems: it has been shut down already
                handle.shutdown(socket.SHUT_WR)  # rule 4: the end comes after what is under way
            await speaking
        finally:
            await _stop(speaking, self._hearing, self._pong)
        adopt(job.context)
        await self._end(job, body)

    async def _end(self, job: ThreadSide, body: bytes) -> None:
        """The app is through: tell the client, unless it knows."""
        error, job.error = job.error or self._fault, None
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
            if isinstance(error, Exception):
                raise error
            if error is not None:  # SystemExit and its like would end the event loop
                raise AppProtocolError(f"the app raised {error!r}, no Exception") from error
        finally:
            del error  # its traceback holds this frame

    async def _deny(self, status: int, headers: RawHeaders, body: bytes) -> None:
        if not self._over:
            self._over = True
            await _deny(self._scope, self._send, status, headers, body)

    # -- from the app to the client -------------------------------------------------------------

    async def _from_app(self) -> None:
        """Pass on what the app writes, until it has returned and its bytes are used up.

        Once there is nobody to pass it on to it is thrown away, so that the app does not stop in
        the middle of ``send()``: it is told in the way that it understands, with a close frame.
        """
        while data := await self._loop.sock_recv(self._ours, READ_SIZE):
            if self._over:
                continue
            try:
                self._protocol.receive_data(data)
                for event in self._protocol.events():
                    await self._tell(event)
            except RemoteProtocolError as error:
                self._fault = AppProtocolError(f"the app broke RFC 6455 on its socket: {error}")
                await self._close(INTERNAL_ERROR, "")
                self._over = True
            except Exception as error:
                self._fault = error  # the server's send() failed; raised to it at the end
                self._over = True

    async def _tell(self, event: Event) -> None:
        if isinstance(event, (TextMessage, BytesMessage)):
            await self._tell_message(event)
        elif isinstance(event, AcceptConnection):
            await self._accept(event)
        elif isinstance(event, RejectConnection):
            self._rejected = event.status_code
        elif isinstance(event, CloseConnection):
            await self._close(event.code, event.reason or "")
        elif isinstance(event, Ping) and (self._pong is None or self._pong.done()):
            # In a task: an app that sends and does not read must not stop its own messages.
            self._pong = asyncio.create_task(self._write(event.response()))

    async def _accept(self, event: AcceptConnection) -> None:
        headers = [(bytes(name), bytes(value)) for name, value in event.extra_headers]
        self._accepted = True
        await self._put(
            {"type": "websocket.accept", "subprotocol": event.subprotocol, "headers": headers}
        )
        self._hearing = asyncio.create_task(self._to_app(), name="bridge-websocket-receive")

    async def _tell_message(self, event: TextMessage | BytesMessage) -> None:
        """A frame of a message; the message goes out with its last one."""
        self._parts.append(event.data)  # type: ignore[arg-type]  # all of one message are alike
        if not event.message_finished:
            return
        parts, self._parts = self._parts, []
        if isinstance(event, TextMessage):
            await self._put({"type": "websocket.send", "text": "".join(parts)})  # type: ignore[arg-type]  # of text
        else:
            await self._put({"type": "websocket.send", "bytes": b"".join(map(bytes, parts))})  # type: ignore[arg-type]  # of bytes

    async def _close(self, code: int, reason: str) -> None:
        if self._hearing is not None:
            self._hearing.cancel()  # granian sends no close frame while a receive() waits
        if not self._over:
            code = NORMAL if code in NOT_TO_BE_SENT else int(code)  # servers refuse wsproto's enum
            await self._put({"type": "websocket.close", "code": code, "reason": reason})
            self._over = True

    async def _put(self, message: Message) -> None:
        if self._over:
            return
        try:
            await self._send(message)
        except OSError as error:  # ASGI spec, "Disconnected Client"
            logger.debug("send() raised: %r", error)
            self._over = True

    # -- from the client to the app -------------------------------------------------------------

    async def _to_app(self) -> None:
        """Pass on what the client sends, and that it has left."""
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
        self._over = True
        if code in NOT_TO_BE_SENT:
            code, reason = CloseReason.NO_STATUS_RCVD, None
        await self._write(CloseConnection(code, reason or None))

    async def _write(self, event: Event) -> None:
        """One frame to the app. It may have gone, or have closed its side."""
        async with self._writing:
            try:
                data = self._protocol.send(event)
                await self._loop.sock_sendall(self._ours, data)
            except (OSError, LocalProtocolError) as error:
                logger.debug("the app takes no more of the WebSocket: %r", error)


async def _stop(*tasks: asyncio.Task[None] | None) -> None:
    """Cancel them, and wait: a socket must not be closed while the loop still watches it."""
    running = [task for task in tasks if task is not None]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def _whole(job: ThreadSide, response: ResponseBody) -> bytes:
    """Wait for the app to be through.

    :returns: the first bytes of its response: of use where it has refused the WebSocket.
    """
    body, done = b"", False
    while not done:
        await response.changed()
        response.poll()
        done = job.done
        response.accept(job.file is not None)
        while chunk := response.take():
            response.accept(len(chunk))
            body = (body + chunk)[:WINDOW]
    return body


async def _deny(scope: Scope, send: Send, status: int, headers: RawHeaders, body: bytes) -> None:
    for message in refused_websocket(scope, status, headers=headers, body=body):
        await send(message)
