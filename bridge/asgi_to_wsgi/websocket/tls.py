"""A connection with TLS that is taken away from a WSGI server, and its transport on the loop.

OpenSSL is bound to the number of the descriptor, so the connection keeps it. Instead, the methods
of the server's socket object are replaced by those of the decoy: attributes of an instance are
found before those of its class. The TLS layer below the socket object, which Python's ``ssl`` and
gevent have in common, is used directly.

Rule 1. The transport belongs to the loop thread. The server's thread has finished with the
        connection when it is made.
Rule 2. OpenSSL may hold decoded bytes while the descriptor is not readable. So a read goes on until
        there are none, or reading is paused; and goes on from there when it is resumed.
Rule 3. Either direction may have to wait for the other one in TLS. An attempt to write is repeated
        when the descriptor is readable, too.
"""

from __future__ import annotations

import _socket
import asyncio
import socket
import ssl
from asyncio import AbstractEventLoop
from typing import Any, cast

__all__ = ["TlsConnection", "TlsTransport", "redirect"]

_METHODS = (
    *("close", "detach", "fileno", "getpeername", "gettimeout", "recv", "recv_into"),
    *("send", "sendall", "sendfile", "setblocking", "settimeout", "shutdown"),
)
"""What servers call on a socket, and on one with TLS."""


_RealSocket: Any = _socket.socket
"""The base class of sockets with and without TLS, of Python and of gevent."""


class TlsConnection:
    """A connection with TLS that is bridge's.

    :param server_socket: the server's socket object, which owns the descriptor.
    """

    def __init__(self, server_socket: ssl.SSLSocket) -> None:
        self._server_socket = server_socket
        # gevent's socket object is not a socket of the operating system; it has one.
        self._socket: Any = getattr(server_socket, "_sock", server_socket)
        self.layer: Any = server_socket._sslobj  # type: ignore[attr-defined]
        self.descriptor: int = _RealSocket.fileno(self._socket)

    def shutdown(self) -> None:
        """Send the end of TLS, then the end of TCP."""
        try:
            self.layer.shutdown()
        except (OSError, ValueError):  # it waits for that of the client, which may never come
            pass
        try:
            _RealSocket.shutdown(self._socket, socket.SHUT_WR)
        except OSError:
            pass

    def close(self) -> None:
        """Close the descriptor."""
        _RealSocket.close(self._socket)

    async def connect(self, loop: AbstractEventLoop, protocol: asyncio.BufferedProtocol) -> None:
        """Serve the connection on ``loop``."""
        TlsTransport(loop, protocol, self)


def redirect(connection: ssl.SSLSocket, decoy: socket.socket) -> TlsConnection:
    """Take the connection away: from now on the server's socket object uses ``decoy``."""
    taken = TlsConnection(connection)
    _RealSocket.setblocking(taken._socket, False)
    methods: dict[str, Any] = {name: getattr(decoy, name) for name in _METHODS}
    methods |= {"read": decoy.recv, "write": decoy.send, "pending": int, "unwrap": int}
    for name, method in methods.items():
        setattr(connection, name, method)
    return taken


class TlsTransport(asyncio.Transport):
    """What a :class:`~bridge.asgi_to_wsgi.websocket.connection.Connection` needs of a transport."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        protocol: asyncio.BufferedProtocol,
        connection: TlsConnection,
    ) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._connection = connection
        self._descriptor = connection.descriptor
        self._pending = bytearray()
        self._high = 65536
        self._is_full = False
        self._is_reading = False
        self._is_watching_writes = False
        self._has_eof = False
        self._is_closing = False
        self._is_closed = False
        protocol.connection_made(self)
        self.resume_reading()

    # -- reading --------------------------------------------------------------------------------

    def pause_reading(self) -> None:
        if self._is_reading:
            self._is_reading = False
            self._loop.remove_reader(self._descriptor)

    def resume_reading(self) -> None:
        if not (self._is_reading or self._is_closing):
            self._is_reading = True
            self._loop.add_reader(self._descriptor, self._on_readable)
            self._loop.call_soon(self._on_readable)  # rule 2

    def is_reading(self) -> bool:
        return self._is_reading

    def _on_readable(self) -> None:
        if self._pending:
            self._write_pending()
        layer = self._connection.layer
        while self._is_reading:
            buffer = cast("memoryview", self._protocol.get_buffer(-1))
            try:
                count = layer.read(len(buffer), buffer)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except ssl.SSLZeroReturnError:
                count = 0
            except (OSError, ValueError) as error:
                self._lose(error if isinstance(error, OSError) else None)
                return
            if not count:
                self.pause_reading()
                self._protocol.eof_received()
                self.close()
                return
            self._protocol.buffer_updated(count)

    # -- writing --------------------------------------------------------------------------------

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = 65536 if high is None else high

    def get_write_buffer_size(self) -> int:
        return len(self._pending)

    def write(self, data: Any) -> None:
        if self._is_closing or self._has_eof or not data:
            return
        self._pending += data
        if len(self._pending) == len(data):
            self._write_pending()
        if len(self._pending) > self._high and not self._is_full:
            self._is_full = True
            self._protocol.pause_writing()

    def _write_pending(self) -> None:
        pending = self._pending
        try:
            while pending:
                count = self._connection.layer.write(memoryview(pending)[:_RECORD].tobytes())
                del pending[:count]
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except (OSError, ValueError) as error:
            self._lose(error if isinstance(error, OSError) else None)
            return
        self._watch_writes(bool(pending))
        if self._is_full and len(pending) <= self._high // 4:
            self._is_full = False
            self._protocol.resume_writing()
        if not pending:
            self._written()

    def _watch_writes(self, watch: bool) -> None:
        if watch and not self._is_watching_writes:
            self._loop.add_writer(self._descriptor, self._write_pending)
        elif not watch and self._is_watching_writes:
            self._loop.remove_writer(self._descriptor)
        self._is_watching_writes = watch

    def _written(self) -> None:
        """Everything is written: end what waits for that."""
        if self._is_closing:
            self._connection.shutdown()
            self._lose(None)
        elif self._has_eof:
            self._connection.shutdown()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self._has_eof:
            self._has_eof = True
            if not self._pending:
                self._written()

    # -- the end --------------------------------------------------------------------------------

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        if self._is_closing:
            return
        self.pause_reading()
        self._is_closing = True
        if not self._pending:
            self._written()

    def abort(self) -> None:
        self._lose(None)

    def _lose(self, error: OSError | None) -> None:
        if self._is_closed:
            return
        self.pause_reading()
        self._watch_writes(False)
        self._is_closing = self._is_closed = True
        self._pending.clear()
        self._loop.call_soon(self._report_lost, error)

    def _report_lost(self, error: OSError | None) -> None:
        self._connection.close()
        self._protocol.connection_lost(error)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return cast("Any", default)


_RECORD = 16384
"""Bytes of a TLS record (RFC 8446, 5.1). OpenSSL asks for the same bytes after it had to wait."""
