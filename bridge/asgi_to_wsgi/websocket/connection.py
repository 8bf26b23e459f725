"""The connection of one WebSocket: a transport, the codec for its frames, and two timers.

Input: bytes of the client, and messages of the app. Output: messages for a :class:`Listener`, and
frames. All methods run on the loop thread.

Rule 1. Before the handshake is complete nothing is decoded: what a client sends too early waits.
Rule 2. Text is decoded as it arrives, frame by frame, so that malformed UTF-8 ends the WebSocket at
        once (RFC 6455, 8.1), and not at the end of a message that may never come.
Rule 3. The side that gives the WebSocket up sends a close frame, half-closes the connection, and
        reads on until the client has closed its side: with unread bytes left, closing would reset
        the connection, and the client could lose the close frame. It waits ``close_timeout_s``.
Rule 4. Of the pings of a client that does not read, only the last is answered (RFC 6455, 5.5.3),
        and not before it reads: the answers to all would fill the memory.
Rule 5. Whatever the client sends shows that it is alive, not only a pong. While reading is paused,
        its pong cannot be read, and no deadline counts.
"""

from __future__ import annotations

import asyncio
import codecs
import threading
from asyncio import AbstractEventLoop, TimerHandle
from typing import Protocol, cast

from websockets.exceptions import ProtocolError
from websockets.frames import Frame, Opcode

from bridge._http.client_text import literal
from bridge.asgi_to_wsgi.websocket.codec import Codec
from bridge.config import WebSocketOptions
from bridge.errors import AppProtocolError

__all__ = ["ABNORMAL", "INTERNAL_ERROR", "NORMAL", "RESTART", "Connection", "Listener"]

NORMAL, ABNORMAL, INVALID_DATA, INTERNAL_ERROR, RESTART = 1000, 1006, 1007, 1011, 1012
"""Close codes (RFC 6455, 7.4.1; 1012 is registered with IANA)."""

TEXT, BINARY, CONTINUATION = Opcode.TEXT, Opcode.BINARY, Opcode.CONT

READ_SIZE = 65536

_PONG = bytes((0x80 | Opcode.PONG,))

_Utf8Decoder = codecs.getincrementaldecoder("utf-8")
_of_thread = threading.local()


class Listener(Protocol):
    """What a connection reports to."""

    def message_received(self, message: str | bytes, size: int) -> None:
        """A whole message of the client.

        :param size: of what the client has sent, in bytes.
        """

    def ended(self, code: int, reason: str) -> None:
        """No message comes any more, and none can be sent."""

    def lost(self) -> None:
        """The connection is closed."""

    def writable(self) -> None:
        """The client has taken enough for more to be sent."""


class Connection(asyncio.BufferedProtocol):
    """One connection.

    :param window: how many bytes may wait to be sent before ``is_full`` is set.
    :ivar is_full: so many wait.
    :ivar is_ended: no message comes any more, and none can be sent.
    :ivar is_lost: it is closed.
    """

    __slots__ = (
        "_buffer",
        "_close_timer",
        "_codec",
        "_decoder",
        "_early",
        "_has_heard",
        "_is_paused",
        "_listener",
        "_loop",
        "_options",
        "_parts",
        "_ping_timer",
        "_pinged_at",
        "_pong",
        "_transport",
        "_window",
        "is_ended",
        "is_full",
        "is_lost",
    )

    _transport: asyncio.Transport

    def __init__(
        self, loop: AbstractEventLoop, listener: Listener, options: WebSocketOptions, window: int
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._options = options
        self._window = window
        self._buffer = _buffer_of_this_thread()
        self._codec: Codec | None = None
        self._early = b""
        self._parts: bytearray | None = None  # of a message that is incomplete
        self._decoder: codecs.IncrementalDecoder | None = None  # of a text message, likewise
        self._pong = b""  # that waits until the client reads
        self._is_paused = False
        self._has_heard = False
        self._pinged_at: float | None = None
        self._ping_timer: TimerHandle | None = None
        self._close_timer: TimerHandle | None = None
        self.is_full = False
        self.is_ended = False
        self.is_lost = False

    # -- from the transport ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=self._window)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._has_heard = True
        codec = self._codec
        if codec is None:
            self._early += self._buffer[:nbytes]
            self.pause_reading()
            return
        codec.receive_data(self._buffer[:nbytes])  # type: ignore[arg-type]  # it is only appended
        self._go_on(codec)

    def eof_received(self) -> None:
        """The transport closes itself then."""
        if self._codec is not None:
            self._codec.receive_eof()
        self._end(ABNORMAL, "")

    def pause_writing(self) -> None:
        self.is_full = True

    def resume_writing(self) -> None:
        self.is_full = False
        pong, self._pong = self._pong, b""
        if pong and not self.is_ended:
            self._transport.write(pong)
        self._listener.writable()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        self.is_full = False
        if self._close_timer is not None:
            self._close_timer.cancel()
            self._close_timer = None
        self._end(ABNORMAL, "")
        self._listener.lost()

    # -- frames of the client -------------------------------------------------------------------

    def _go_on(self, codec: Codec) -> None:
        """Handle what the codec has made of the bytes."""
        for event in codec.events_received():
            self._handle(codec, cast("Frame", event))
        closed = codec.close_rcvd or codec.close_sent
        if closed is not None:
            self._end(closed.code, closed.reason)
        self._flush(codec)

    def _handle(self, codec: Codec, frame: Frame) -> None:
        opcode, data = frame.opcode, frame.data
        if self.is_ended:
            return
        try:
            if opcode is TEXT and frame.fin:
                self._listener.message_received(str(data, "utf-8"), len(data))
            elif opcode is BINARY and frame.fin:
                self._listener.message_received(bytes(data), len(data))
            elif opcode is TEXT or opcode is BINARY or opcode is CONTINUATION:
                self._add_fragment(frame)
            # The codec has answered a ping, and a close.
        except UnicodeDecodeError as error:
            codec.fail(INVALID_DATA, f"{error.reason} at position {error.start}")

    def _add_fragment(self, frame: Frame) -> None:
        """A frame of a message of several. They are joined as they arrive: an object for each of
        two bytes would be 28 times as large as the message."""
        if frame.opcode is not CONTINUATION:
            self._parts = bytearray()
            self._decoder = _Utf8Decoder() if frame.opcode is TEXT else None
        parts, decoder = cast("bytearray", self._parts), self._decoder
        if decoder is not None:
            decoder.decode(frame.data, frame.fin)  # rule 2
        parts += frame.data
        if not frame.fin:
            return
        self._parts = self._decoder = None
        message = bytes(parts) if decoder is None else str(parts, "utf-8")
        self._listener.message_received(message, len(parts))

    def _end(self, code: int, reason: str) -> None:
        if self.is_ended:
            return
        self.is_ended = True
        self._parts = self._decoder = None
        if self._ping_timer is not None:
            self._ping_timer.cancel()
            self._ping_timer = None
        self._start_close_timer()
        self._listener.ended(code, reason)

    # -- to the client --------------------------------------------------------------------------

    def _flush(self, codec: Codec) -> None:
        writes = codec.data_to_send()
        if not writes:
            return
        if self.is_lost:
            return
        if self.is_full:
            writes = self._without_pongs(writes)
        data = writes[0] if len(writes) == 1 else b"".join(writes)
        if data:
            self._transport.write(data)
        if writes and not writes[-1]:  # the codec's mark for the end
            self._end_output(codec)

    def _without_pongs(self, writes: list[bytes]) -> list[bytes]:
        """Each is a whole frame. The last pong is sent once the client reads: rule 4."""
        kept = []
        for frame in writes:
            if frame.startswith(_PONG):
                self._pong = frame
            else:
                kept.append(frame)
        return kept

    def _end_output(self, codec: Codec) -> None:
        self.resume_reading()
        if codec.close_rcvd is not None or not self._transport.can_write_eof():
            self._transport.close()
        else:  # rule 3
            self._transport.write_eof()

    def _start_close_timer(self) -> None:
        if self._close_timer is None and not self.is_lost:
            self._close_timer = self._loop.call_later(self._options.close_timeout_s, self.abort)

    def open(self, codec: Codec, head: bytes) -> None:
        """Complete the handshake, unless the client has disconnected.

        :param head: of the response.
        """
        if self.is_ended:
            return
        self._transport.write(head)
        self._codec = codec
        interval_s = self._options.ping_interval_s
        if interval_s is not None:
            self._ping_timer = self._loop.call_later(interval_s, self._tick)
        early, self._early = self._early, b""
        if early:
            codec.receive_data(early)
            self._go_on(codec)
        self.resume_reading()

    def send(self, message: str | bytes) -> None:
        """Send a message. Not once ``is_ended`` is set."""
        codec = cast("Codec", self._codec)  # an open connection has one
        if isinstance(message, str):
            codec.send_text(message.encode())
        else:
            codec.send_binary(message)
        self._flush(codec)

    def close(self, code: int, reason: str, *, within_s: float | None = None) -> None:
        """Begin the closing handshake, if it has not begun.

        :param within_s: at most so long, if that is less than ``close_timeout_s``.
        :raises AppProtocolError: RFC 6455 does not allow this code or reason in a close frame.
        """
        codec = self._codec
        if codec is None or self.is_ended:
            return
        try:
            codec.send_close(code, reason)
        except (ProtocolError, TypeError) as error:
            raise AppProtocolError(
                f"websocket.close: code={literal(code)} and a reason of {len(reason.encode())} "
                f"bytes: {error}. RFC 6455 allows 1000 to 1003, 1007 to 1014 and 3000 to 4999, and "
                "a reason of up to 123 bytes"
            ) from None
        if within_s is not None and within_s < self._options.close_timeout_s:
            self._close_timer = self._loop.call_later(within_s, self.abort)
        self._end(code, reason)
        self._flush(codec)
        self.resume_reading()

    def deny(self, data: bytes) -> None:
        """Send bytes of a response in place of the handshake."""
        if not self.is_lost:
            self._transport.write(data)

    def finish(self) -> None:
        """Close once everything is sent."""
        self._end(ABNORMAL, "")
        if not self.is_lost:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if not self.is_lost:
            self._transport.abort()

    # -- reading --------------------------------------------------------------------------------

    def pause_reading(self) -> None:
        """Read no more until :meth:`resume_reading`: the app is behind."""
        if not (self._is_paused or self.is_ended):
            self._is_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if self._is_paused:
            self._is_paused = False
            self._has_heard = True  # a pong may have waited behind what was not read: rule 5
            if not self.is_lost:
                self._transport.resume_reading()

    # -- pings ----------------------------------------------------------------------------------

    def _tick(self) -> None:
        """A ping is due, or its deadline. One timer serves both."""
        codec, options, now = cast("Codec", self._codec), self._options, self._loop.time()
        interval_s = cast("float", options.ping_interval_s)
        if self._pinged_at is not None:
            is_alive = self._has_heard or self._is_paused
            due_in_s = self._pinged_at + (interval_s if is_alive else options.ping_timeout_s) - now
            if due_in_s > 0:
                self._ping_timer = self._loop.call_later(due_in_s, self._tick)
                return
            if not is_alive:
                codec.fail(INTERNAL_ERROR, "keepalive ping timeout")
                self._go_on(codec)
                return
        self._pinged_at = now
        self._has_heard = False
        codec.send_ping(b"")
        self._flush(codec)
        next_s = min(interval_s, options.ping_timeout_s)
        self._ping_timer = self._loop.call_later(next_s, self._tick)


def _buffer_of_this_thread() -> memoryview:
    """Where the connections of a loop read into, one after another."""
    try:
        buffer: memoryview = _of_thread.buffer
    except AttributeError:
        buffer = _of_thread.buffer = memoryview(bytearray(READ_SIZE))
    return buffer
