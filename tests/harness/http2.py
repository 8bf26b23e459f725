"""The client of ``tests.harness.http`` over HTTP/2 with prior knowledge (RFC 9113, section 3.3).

Each request opens a new connection with one stream. The client returns flow-control window only
when the test reads a chunk, so a test that does not read is a stalled client.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from tests.harness.http import HOST, TIMEOUT_S, Aborted, Fields, Response, Stream, read_whole

MAX_FRAME = 16384


class Http2Exchange:
    """One stream on one connection, a :class:`tests.harness.http.Exchange`."""

    def __init__(self, stream: Stream, fields: Fields, *, has_body: bool) -> None:
        self.stream = stream
        self._h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=True, header_encoding=None)
        )
        self._h2.initiate_connection()
        self._id = self._h2.get_next_available_stream_id()
        self._h2.send_headers(self._id, list(fields), end_stream=not has_body)
        self._head: Response | None = None
        self._data: deque[h2.events.DataReceived] = deque()
        self._ended = False
        self._abort_reason: str | None = None
        self._flush()

    def send(self, data: bytes) -> None:
        """Send data as the server's window allows.

        :raises Aborted: the server reset the stream.
        """
        while data:
            window = min(self._h2.local_flow_control_window(self._id), MAX_FRAME)
            if window <= 0:
                self._pump()
                self._check()
                continue
            self._h2.send_data(self._id, data[:window])
            data = data[window:]
            self._flush()

    def end(self) -> None:
        self._h2.end_stream(self._id)
        self._flush()

    def head(self) -> Response:
        while self._head is None:
            self._check()
            self._pump()
        return self._head

    def chunk(self) -> bytes:
        self.head()
        while not self._data:
            if self._ended:
                return b""
            self._check()
            self._pump()
        event = self._data.popleft()
        self._return_window(event)
        return bytes(event.data or b"") or self.chunk()

    def _return_window(self, event: h2.events.DataReceived) -> None:
        size = event.flow_controlled_length or 0
        if not size:
            return
        try:
            self._h2.acknowledge_received_data(size, self._id)
            self._flush()
        except (h2.exceptions.ProtocolError, OSError):
            pass  # the stream or connection has ended; the data received before is valid

    def read(self) -> Response:
        return read_whole(self)

    def disconnect(self) -> None:
        """Reset the stream and keep the connection open, so only RST_STREAM shows it."""
        self._h2.reset_stream(self._id, h2.errors.ErrorCodes.CANCEL)
        self._flush()
        self._abort_reason = "the client reset the stream"

    def close(self) -> None:
        self.stream.close()

    def _check(self) -> None:
        if self._abort_reason is not None:
            raise Aborted(self._abort_reason, self._head)

    def _flush(self) -> None:
        self.stream.send(self._h2.data_to_send())

    def _pump(self) -> None:
        try:
            data = self.stream.some()
        except EOFError as error:
            self._abort_reason = str(error)
            return
        for event in self._h2.receive_data(data):
            self._handle(event)
        try:
            self._flush()
        except OSError:
            pass  # the server closed the connection; the next read reports it

    def _handle(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived():
                self._head = _response(event)
            case h2.events.DataReceived():
                self._data.append(event)
            case h2.events.StreamEnded():
                self._ended = True
            case h2.events.StreamReset() if not self._ended:
                self._abort_reason = f"stream reset, code {event.error_code}"
            case h2.events.ConnectionTerminated() if not self._ended:
                self._abort_reason = f"connection ended, code {event.error_code}"


def _response(event: h2.events.ResponseReceived) -> Response:
    fields = [(_text(name), _text(value)) for name, value in event.headers or []]
    status = int(dict(fields)[":status"])
    return Response(status, tuple(field for field in fields if field[0] != ":status"))


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


@dataclass(frozen=True)
class Http2Client:
    """A client for HTTP/2 in clear text on a port of this machine."""

    port: int
    timeout_s: float = TIMEOUT_S
    http: str = "2"
    opened: list[Http2Exchange] = field(default_factory=list, repr=False)

    def open(
        self, method: str, path: str, headers: Fields = (), *, has_body: bool = False
    ) -> Http2Exchange:
        pseudo = [
            (":method", method),
            (":scheme", "http"),
            (":authority", f"{HOST}:{self.port}"),
            (":path", path),
        ]
        fields = [(name.lower(), value) for name, value in headers]
        stream = Stream(self.port, self.timeout_s)
        self.opened.append(Http2Exchange(stream, [*pseudo, *fields], has_body=has_body))
        return self.opened[-1]

    def fetch(
        self, method: str, path: str, headers: Fields = (), body: bytes | None = None
    ) -> Response:
        length = [("content-length", str(len(body)))] if body is not None else []
        exchange = self.open(method, path, [*headers, *length], has_body=body is not None)
        try:
            if body is not None:
                exchange.send(body)
                exchange.end()
            return exchange.read()
        finally:
            exchange.close()

    def close(self) -> None:
        while self.opened:
            self.opened.pop().close()
