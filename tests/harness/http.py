"""An HTTP/1.1 client that shows the bytes on the wire.

Input: method, path, headers and body bytes. Output: the response exactly as it was received.
Ordinary clients repair, retry and reuse connections. This one sends the given bytes, raises
:class:`Aborted` for a response that was cut off, and can disconnect at any time. It runs on the
caller's thread, and every read times out after ``timeout_s``.

:class:`Client` and :class:`Exchange` are the interfaces that the tests use;
``tests.harness.http2`` implements them for HTTP/2.
"""

from __future__ import annotations

import json
import re
import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

HOST = "127.0.0.1"
TIMEOUT_S = 15.0
READ_SIZE = 65536

_HEAD_END = re.compile(rb"\r\n\r?\n")

Fields = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Response:
    """A response, or only its head if the body has not been read.

    :ivar headers: names in lower case, in the order of the wire.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    def header_values(self, name: str) -> list[str]:
        """All values of a header, in order."""
        return [value for key, value in self.headers if key == name.lower()]

    def header(self, name: str) -> str | None:
        """The value of a header that may occur once, or None."""
        values = self.header_values(name)
        assert len(values) <= 1, f"{name} occurs {len(values)} times: {values}"
        return values[0] if values else None

    def json(self) -> Any:
        return json.loads(self.body)


class Aborted(Exception):
    """The response was cut off.

    :ivar head: the response head, or None if it was not received.
    :ivar body: the part of the body that was received.
    """

    def __init__(self, reason: str, head: Response | None = None, body: bytes = b"") -> None:
        super().__init__(reason)
        self.head = head
        self.body = body


class Exchange(Protocol):
    """One request and its response."""

    def send(self, data: bytes) -> None:
        """Send a part of the request body."""

    def end(self) -> None:
        """End the request body."""

    def head(self) -> Response:
        """Wait for the response head."""

    def chunk(self) -> bytes:
        """Wait for the next part of the response body; empty at its end.

        :raises Aborted: the body was cut off.
        """

    def read(self) -> Response:
        """Wait for the whole response."""

    def disconnect(self) -> None:
        """Abort the request, as a closed browser tab does."""

    def close(self) -> None:
        """Close the connection. Idempotent."""


class Client(Protocol):
    """Sends requests to one server, each on a new connection."""

    @property
    def http(self) -> str:
        """The HTTP version."""

    def open(
        self, method: str, path: str, headers: Fields = (), *, has_body: bool = False
    ) -> Exchange:
        """Send a request head. With ``has_body``, send the body by ``send`` and ``end``."""

    def fetch(
        self, method: str, path: str, headers: Fields = (), body: bytes | None = None
    ) -> Response:
        """Send a request, with ``content-length`` if it has a body, and read the response."""

    def close(self) -> None:
        """Close all connections."""


class Stream:
    """A TCP connection with reads up to a separator or of an exact size."""

    def __init__(self, port: int, timeout_s: float = TIMEOUT_S) -> None:
        self.socket = socket.create_connection((HOST, port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def until(self, separator: bytes) -> bytes:
        """Read up to the separator and drop the separator."""
        while separator not in self._received:
            self._receive()
        found = self._take(self._received.index(separator))
        self._take(len(separator))
        return found

    def until_empty_line(self) -> bytes:
        """Read a head up to the empty line that ends it, and drop that line.

        A client may accept a bare LF there (RFC 9112, section 2.2). gunicorn 27 sends one in its
        own error pages on Python 3.14, whose ``textwrap.dedent`` removes the CR of an empty line.
        """
        while (end := _HEAD_END.search(self._received)) is None:
            self._receive()
        start, stop = end.span()
        return self._take(stop)[:start]

    def exactly(self, size: int) -> bytes:
        while len(self._received) < size:
            self._receive()
        return self._take(size)

    def some(self, limit: int = READ_SIZE) -> bytes:
        """Read from 1 to ``limit`` bytes, as many as have arrived.

        :raises EOFError: the server closed or reset the connection.
        """
        if not self._received:
            self._receive()
        return self._take(min(limit, len(self._received)))

    def rest(self) -> bytes:
        """Read to the end of the connection."""
        try:
            while True:
                self._receive()
        except EOFError:
            return self._take(len(self._received))

    def _take(self, size: int) -> bytes:
        found = bytes(self._received[:size])
        del self._received[:size]
        return found

    def _receive(self) -> None:
        try:
            data = self.socket.recv(READ_SIZE)
        except ConnectionError as error:
            raise EOFError(f"connection reset: {error}") from error
        if not data:
            raise EOFError("connection closed")
        self._received += data

    def bytes_in_kernel(self) -> int:
        """How much the server has handed to the kernel and this client has not read (proc(5))."""
        ours, theirs = self.socket.getsockname()[1], self.socket.getpeername()[1]
        found = 0
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, remote, _, queues, *_ = line.split()
            ports = tuple(int(address.partition(":")[2], 16) for address in (local, remote))
            to_send, to_read = (int(size, 16) for size in queues.split(":"))
            if ports == (theirs, ours):
                found += to_send
            elif ports == (ours, theirs):
                found += to_read
        return found

    def reset(self) -> None:
        """Close with RST instead of FIN, so that the server notices at once."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.socket.close()


class Http1Exchange:
    """A request and its response over HTTP/1.1, with a body framed in any of the three ways."""

    def __init__(self, stream: Stream, method: str, *, chunked: bool = False) -> None:
        self.stream = stream
        self._method = method
        self._chunked_request = chunked
        self._head: Response | None = None
        self._remaining: int | None = 0  # None: up to the end of the connection
        self._chunked = False
        self._ended = False

    def send(self, data: bytes) -> None:
        if self._chunked_request and data:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        self.stream.send(data)

    def end(self) -> None:
        if self._chunked_request:
            self.stream.send(b"0\r\n\r\n")

    def head(self) -> Response:
        if self._head is None:
            try:
                self._head = self._read_head()
            except EOFError as error:
                raise Aborted(f"no response head: {error}") from error
        return self._head

    def _read_head(self) -> Response:
        while True:
            status_line, *lines = self.stream.until_empty_line().decode("latin-1").split("\r\n")
            status = int(status_line.split(" ")[1])
            if status >= 200:
                break
        fields = tuple(_field(line) for line in lines)
        head = Response(status, fields)
        self._frame(head)
        return head

    def _frame(self, head: Response) -> None:
        """Determine where the body ends (RFC 9112, section 6.3)."""
        length = head.header("content-length")
        if self._method == "HEAD" or head.status in (204, 304):
            self._ended = True
        elif head.header("transfer-encoding") == "chunked":
            self._chunked = True
        elif length is not None:
            self._remaining = int(length)
        else:
            self._remaining = None

    def chunk(self) -> bytes:
        self.head()
        if self._ended:
            return b""
        try:
            return self._read_chunk() if self._chunked else self._read_plain()
        except EOFError as error:
            if self._remaining is None and "reset" not in str(error):
                self._ended = True
                return b""
            raise Aborted(f"the body was cut off: {error}", self._head) from error

    def _read_chunk(self) -> bytes:
        size = int(self.stream.until(b"\r\n").split(b";")[0], 16)
        data = self.stream.exactly(size)
        self.stream.until(b"\r\n")
        self._ended = size == 0
        return data

    def _read_plain(self) -> bytes:
        if self._remaining == 0:
            self._ended = True
            return b""
        limit = READ_SIZE if self._remaining is None else min(READ_SIZE, self._remaining)
        data = self.stream.some(limit)
        if self._remaining is not None:
            self._remaining -= len(data)
        return data

    def read(self) -> Response:
        return read_whole(self)

    def disconnect(self) -> None:
        self.stream.reset()

    def close(self) -> None:
        self.stream.close()


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.lower(), value.strip(" \t")


def read_whole(exchange: Exchange) -> Response:
    """Read the head and the whole body. :class:`Aborted` holds the part that was received."""
    head = exchange.head()
    chunks: list[bytes] = []
    try:
        while data := exchange.chunk():
            chunks.append(data)
    except Aborted as aborted:
        raise Aborted(str(aborted), head, b"".join(chunks)) from aborted
    return replace(head, body=b"".join(chunks))


@dataclass(frozen=True)
class Http1Client:
    """A client for HTTP/1.1 on a port of this machine."""

    port: int
    timeout_s: float = TIMEOUT_S
    http: str = "1.1"
    opened: list[Http1Exchange] = field(default_factory=list, repr=False)

    def open(
        self, method: str, path: str, headers: Fields = (), *, has_body: bool = False
    ) -> Http1Exchange:
        sized = any(name.lower() == "content-length" for name, _ in headers)
        chunked = has_body and not sized
        framing = [("transfer-encoding", "chunked")] if chunked else []
        stream = Stream(self.port, self.timeout_s)
        stream.send(request_head(method, path, [*headers, *framing], self.port))
        self.opened.append(Http1Exchange(stream, method, chunked=chunked))
        return self.opened[-1]

    def fetch(
        self, method: str, path: str, headers: Fields = (), body: bytes | None = None
    ) -> Response:
        length = [("content-length", str(len(body)))] if body is not None else []
        exchange = self.open(method, path, [*headers, *length], has_body=body is not None)
        try:
            if body:
                exchange.send(body)
            return exchange.read()
        finally:
            exchange.close()

    def close(self) -> None:
        while self.opened:
            self.opened.pop().close()


def request_head(method: str, path: str, headers: Fields, port: int) -> bytes:
    """A request head in wire format. Adds ``host`` unless it is given."""
    fields = list(headers)
    if not any(name.lower() == "host" for name, _ in fields):
        fields.insert(0, ("host", f"{HOST}:{port}"))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def exchange_raw(port: int, data: bytes, timeout_s: float = TIMEOUT_S) -> bytes:
    """Send raw bytes and read until the server closes the connection."""
    stream = Stream(port, timeout_s)
    try:
        stream.send(data)
        return stream.rest()
    finally:
        stream.close()


def split_responses(data: bytes, methods: Iterable[str]) -> list[Response]:
    """Split the bytes of a connection into responses, one for each method."""
    replay = _Replay(data)
    found = [Http1Exchange(replay, method).read() for method in methods]
    assert not replay.rest(), "there are bytes after the last response"
    return found


class _Replay(Stream):
    """A stream over bytes that were received before."""

    def __init__(self, data: bytes) -> None:
        self._received = bytearray(data)

    def _receive(self) -> None:
        raise EOFError("connection closed")
