"""The ASGI side of one WebSocket: the app's task, its ``receive`` and ``send``.

Rule 1. All methods run on the loop thread. The server thread reads ``denial`` after it has acquired
        ``decided``, and makes the socket ready for :meth:`Session.attach`.
Rule 2. The server thread waits only for the first moments of the app. An app that decides in time
        is answered through the server, or gets its connection with the decision made. For any other
        app the connection is taken over undecided, and the response is written here.
Rule 3. Backpressure is counted in bytes. The app may have ``body_window`` of messages unread before
        nothing is read from the client, and ``response_window`` unsent before ``send`` waits.
Rule 4. The task lasts until the connection is closed: so a shutdown waits for the closing handshake
        as it waits for the app.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import Task
from collections import deque
from contextvars import Context
from threading import Lock
from typing import Any

from bridge._http.answers import SHUTTING_DOWN
from bridge._http.client_text import ClientText
from bridge._http.messages import WEBSOCKET, State
from bridge._http.websocket_handshake import handshake_response
from bridge._observe.record import RECORD
from bridge._observe.sizes import size_of
from bridge._threads.asgiref_state import holds_locals
from bridge._threads.loop_thread import start_task
from bridge._threads.own_tasks import own_task
from bridge.asgi_to_wsgi.outcome import comes_from_disconnect
from bridge.asgi_to_wsgi.running_app import RunningApp
from bridge.asgi_to_wsgi.sync_code import move_to_loop_thread
from bridge.asgi_to_wsgi.websocket import limits
from bridge.asgi_to_wsgi.websocket.codec import Codec, negotiated_codec
from bridge.asgi_to_wsgi.websocket.connection import (
    ABNORMAL,
    INTERNAL_ERROR,
    NORMAL,
    RESTART,
    Connection,
)
from bridge.asgi_to_wsgi.websocket.denial import Denial
from bridge.asgi_to_wsgi.websocket.session_record import SessionRecord
from bridge.asgi_to_wsgi.websocket.takeover import PlainConnection
from bridge.asgi_to_wsgi.websocket.tls import TlsConnection
from bridge.asgi_to_wsgi.websocket.waiters import Waiters
from bridge.config import WebSocketOptions
from bridge.errors import AppProtocolError, ClientDisconnected
from bridge.types import AsgiApp, Environ, Message, Scope

__all__ = ["Session"]

logger = logging.getLogger("bridge.asgi_to_wsgi")

RESTART_S = 2.0
"""How long a client may take to answer the close when the process ends: its worker waits."""

MESSAGE_COST = 512
"""What a message that waits costs beside its data, in bytes: empty ones count, too."""


class Session:
    """One WebSocket.

    :param scope: for the app.
    :param environ: of the handshake.
    :param context: for the app to run in.
    :ivar decided: the server thread waits for it: released once the app has accepted or denied.
    :ivar denial: set if it has denied.
    :ivar task: of the app, as long as it runs.
    """

    __slots__ = (
        "_app",
        "_asgi",
        "_attaching",
        "_changes",
        "_codec",
        "_connection",
        "_context",
        "_disconnect",
        "_environ",
        "_head",
        "_is_attached",
        "_is_connected",
        "_options",
        "_queue",
        "_queued",
        "_record",
        "_scope",
        "_state",
        "decided",
        "denial",
        "task",
    )

    is_in_background = False

    def __init__(
        self,
        app: RunningApp,
        asgi: AsgiApp,
        options: WebSocketOptions,
        scope: Scope,
        environ: Environ,
        context: Context,
    ) -> None:
        self._app = app
        self._asgi = asgi
        self._options = options
        self._scope = scope
        self._environ: Environ | None = environ
        self._context: Context | None = context
        self._record: SessionRecord | None = None
        if RECORD in scope:
            self._record = SessionRecord(scope[RECORD])
        self._state: State = WEBSOCKET.start
        self._changes = Waiters(app.loop)
        self._connection: Connection | None = None
        self._attaching: Task[None] | None = None
        self._codec: Codec | None = None  # from the decision until the connection is there
        self._head = b""  # likewise
        self._is_attached = False
        self._is_connected = False
        self._queue: deque[tuple[Message, int]] | None = None
        self._queued = 0
        self._disconnect: Message | None = None
        self.decided = Lock()
        self.decided.acquire()
        self.denial: Denial | None = None
        self.task: Task[None] | None = None

    # -- the task -------------------------------------------------------------------------------

    def start(self) -> None:
        """Call the app, and run it until it waits for something."""
        app, context = self._app, self._context
        self._context = None
        if self._record is not None:
            self._record.request.is_served()
        if app.cancels_at is not None or context is None:
            self._deny(503, SHUTTING_DOWN)
            return
        app.websockets.add(self)
        if context and holds_locals(context):
            context.run(move_to_loop_thread, context)
        task = start_task(app.loop, self._run(), context)
        if not task.done():
            self.task = task
            app.requests.add(self)

    async def _run(self) -> None:
        try:
            await self._asgi(self._scope, self.receive, self.send)
        except BaseException as error:  # SystemExit, too: it must not end the loop
            if isinstance(error, GeneratorExit) and not self._app.loop.is_running():
                raise
            self._app_ended(error)
        else:
            self._app_ended(None)
        try:
            while self._connection is not None and not self._connection.is_lost:
                await self._changes.wait()
        except asyncio.CancelledError:
            self.abandon()
        finally:
            self._app.requests.discard(self)
            self.task = None
            self._end_record()

    def _end_record(self) -> None:
        if self._record is not None:
            self._record.end_if(task_ended=self.task is None)

    def _app_ended(self, error: BaseException | None) -> None:
        state, disconnect = self._state, self._disconnect
        if error is not None:
            self._log(error, is_disconnected=disconnect is not None)
        elif not self._is_decided and disconnect is None:
            self._log(AppProtocolError(f"the app returned ({state})"), is_disconnected=False)
        if not self._is_decided:
            self._give_up()
        elif self._codec is not None:  # accepted, and cancelled before it had the connection
            self._codec = None
            self._deny(500, "Internal Server Error\n")
        elif self._connection is not None and self.denial is None:
            is_cut = isinstance(error, asyncio.CancelledError) and self._app.cancels_at is not None
            code = RESTART if is_cut else NORMAL if error is None else INTERNAL_ERROR
            self._connection.close(code, "")

    def _give_up(self) -> None:
        """The app has ended before its decision was complete."""
        if self.denial is not None and self.denial.is_begun:
            self._decide()
            self.abandon()
        else:
            self._deny(500, "Internal Server Error\n")

    def _log(self, error: BaseException, *, is_disconnected: bool) -> None:
        name, path = self._app.name, ClientText(self._scope["path"])
        if isinstance(error, asyncio.CancelledError):
            logger.debug("%s was cancelled in the WebSocket %s", name, path)
        elif is_disconnected and comes_from_disconnect(error):
            logger.debug("%s: the client of the WebSocket %s disconnected", name, path)
        else:
            logger.error("%s failed in the WebSocket %s", name, path, exc_info=error)
            if self._record is not None:
                self._record.request.has_failed(error)

    def subject(self) -> Scope:
        """What it serves, for reports. From any thread."""
        return self._scope

    def cancel(self) -> None:
        """Cancel the task, if it still runs."""
        if self.task is not None:
            self.task.cancel()

    def abandon(self) -> None:
        """Close the connection at once: the task ignores its cancellation, or there is no time."""
        if self._connection is not None:
            self._connection.abort()

    def restart(self) -> None:
        """The process ends: close with 1012, so that the client connects to another one."""
        if not self._is_decided:
            self._deny(503, SHUTTING_DOWN)
            self.ended(ABNORMAL, "")
        elif self._connection is not None and self.denial is None:
            self._connection.close(RESTART, "", within_s=RESTART_S)

    # -- the decision ---------------------------------------------------------------------------

    @property
    def _is_decided(self) -> bool:
        return self._environ is None

    def _decide(self) -> None:
        self._environ = None
        if self.decided.locked():
            self.decided.release()

    def _deny(self, status: int, text: str) -> None:
        """Answer with a response of bridge's own."""
        self.denial = Denial.of_bridge(status, text)
        self._decide()
        self._write_denial()

    def refuse(self) -> None:
        """The server thread has answered, or has ended with an error. Does nothing once that has
        taken the connection over: what it raises later is the server's business."""
        if self._is_attached:
            return
        if not self._is_decided:
            self._decide()
        self.ended(ABNORMAL, "")
        self.lost()

    def attach(self, connection: PlainConnection | TlsConnection) -> None:
        """The server thread has taken the connection over."""
        self._is_attached = True
        if self._record is not None:
            self._record.is_attached = True
        coroutine = self._attach(connection)
        self._attaching = own_task(coroutine, self._app.loop, name="bridge-websocket")

    async def _attach(self, connection: PlainConnection | TlsConnection) -> None:
        loop, window = self._app.loop, self._app.options.response_window
        protocol = Connection(loop, self, self._options, window)
        self._attaching = None
        try:
            await connection.connect(loop, protocol)
        except OSError as error:  # the client has gone
            logger.debug("the connection could not be used: %r", error)
            connection.close()
            self.ended(ABNORMAL, "")
            self.lost()
            return
        self._connection = protocol
        if self.denial is not None:
            self._write_denial()
        elif self._codec is not None:
            self._open(protocol, self._codec)
        self._changes.notify()

    def _open(self, connection: Connection, codec: Codec) -> None:
        head, self._head, self._codec = self._head, b"", None
        connection.open(codec, head)
        if self._app.cancels_at is not None:
            self.restart()

    def _write_denial(self) -> None:
        """Send what there is of the denial, if it is for this side to send."""
        if self._connection is not None and self.denial is not None:
            record, denial = self._record, self.denial
            if record is not None and not denial.is_begun:
                denial.add_headers(record.denied(denial.status, denial.has_id))
            size = denial.write(self._connection)
            if record is not None:
                record.request.sent_bytes += size

    # -- from the connection --------------------------------------------------------------------

    def message_received(self, message: str | bytes, size: int) -> None:
        event: Message = {"type": "websocket.receive"}
        event["text" if isinstance(message, str) else "bytes"] = message
        if self._queue is None:
            self._queue = deque()
        cost = size + MESSAGE_COST
        self._queue.append((event, cost))
        self._queued += cost
        if self._queued > self._app.options.body_window and self._connection is not None:
            self._connection.pause_reading()
        self._changes.notify()

    def ended(self, code: int, reason: str) -> None:
        if self._disconnect is None:
            self._disconnect = {"type": "websocket.disconnect", "code": code, "reason": reason}
            if self._record is not None and code == ABNORMAL and self.denial is None:
                self._record.request.disconnected = True
        self._changes.notify()

    def lost(self) -> None:
        self._app.websockets.discard(self)
        limits.release(self)
        self._changes.notify()
        if self._record is not None:
            self._record.is_lost = True
            self._end_record()

    def writable(self) -> None:
        self._changes.notify()

    # -- receive --------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """The connect, then each message of the client, then its disconnect as often as asked."""
        if not self._is_connected:
            self._is_connected = True
            return {"type": "websocket.connect"}
        while True:
            if self._queue is not None:
                return self._taken(self._queue)
            if self._disconnect is not None:
                return {**self._disconnect}
            await self._changes.wait()

    def _taken(self, queue: deque[tuple[Message, int]]) -> Message:
        message, cost = queue.popleft()
        self._queued -= cost
        if self._record is not None:
            self._record.request.received_bytes += cost - MESSAGE_COST
        if not queue:
            self._queue = None  # an empty deque is 600 bytes, of each idle socket
        if self._queued <= self._app.options.body_window and self._connection is not None:
            self._connection.resume_reading()
        return message

    # -- send -----------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """A message of the app.

        :raises AppProtocolError: it is not allowed now, or not in this form.
        :raises ClientDisconnected: the client has disconnected, or the process ends.
        """
        state = WEBSOCKET.after(self._state, message)
        if self._disconnect is not None:
            raise _disconnected()
        kind = message["type"]
        if kind == "websocket.send":
            connection = self._connection
            if connection is None or connection.is_ended:
                raise _disconnected()
            content = _content(message)
            connection.send(content)
            if self._record is not None:
                self._record.request.sent_bytes += size_of(content)
            if connection.is_full:
                await self._wait_for_room()
        elif kind == "websocket.accept":
            await self._accept(message, state)
        elif kind == "websocket.close":
            self._close(message, state)
        elif kind == "websocket.http.response.start":
            self.denial = Denial.of_app(message)
            self._state = state
        else:
            await self._send_denial(message, state)

    async def _accept(self, message: Message, state: State) -> None:
        environ = self._environ
        assert environ is not None  # the state allows one decision
        codec, extensions = negotiated_codec(environ, self._options)
        if self._record is not None:
            message = self._record.accepted(message)
        self._head = handshake_response(environ, message, extensions)
        self._codec, self._state = codec, state
        self._decide()
        if self._connection is not None:
            self._open(self._connection, codec)
        while self._connection is None and self._disconnect is None:
            await self._changes.wait()
        if self._connection is None:
            raise _disconnected()

    def _close(self, message: Message, state: State) -> None:
        code, reason = message.get("code"), message.get("reason") or ""
        if self._state == WEBSOCKET.start:
            self._state = state
            self._deny(403, "Forbidden\n")
            self.ended(ABNORMAL, "")
        elif self._connection is not None:
            code = NORMAL if code is None else code
            if not (isinstance(code, int) and isinstance(reason, str)):
                raise AppProtocolError(
                    f"websocket.close: code is {type(code).__name__}, reason is "
                    f"{type(reason).__name__}; the ASGI spec asks for int and str"
                )
            self._connection.close(code, reason)
            self._state = state

    async def _send_denial(self, message: Message, state: State) -> None:
        denial = self.denial
        assert denial is not None  # the state allows a body only after a head
        denial.add(message)
        self._state = state
        if denial.is_complete:
            self._decide()
        self._write_denial()
        if denial.is_complete:
            self.ended(ABNORMAL, "")
        else:
            await self._wait_for_room()

    async def _wait_for_room(self) -> None:
        while self._connection is not None and self._connection.is_full:
            await self._changes.wait()
        if self._disconnect is not None:
            raise _disconnected()


def _content(message: Message) -> str | bytes:
    """The content of a ``websocket.send``.

    :raises AppProtocolError: it has none.
    """
    data: Any = message.get("bytes")
    if data is None:
        data = message.get("text")
        if not isinstance(data, str):
            raise _not_a_message(message)
    elif not isinstance(data, bytes):
        if not isinstance(data, (bytearray, memoryview)):
            raise _not_a_message(message)
        data = bytes(data)
    return data  # type: ignore[no-any-return]  # checked


def _not_a_message(message: Message) -> AppProtocolError:
    kinds = ", ".join(f"{key} is {type(message.get(key)).__name__}" for key in ("bytes", "text"))
    return AppProtocolError(
        f"websocket.send: {kinds}; the ASGI spec asks for bytes in one, or for str in the other"
    )


def _disconnected() -> ClientDisconnected:
    return ClientDisconnected("the WebSocket is closed: the client has disconnected")
