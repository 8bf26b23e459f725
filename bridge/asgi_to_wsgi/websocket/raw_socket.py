"""Where each WSGI server has the socket of its client. On the server thread.

PEP 3333 has no place for it. gunicorn and Werkzeug put it into the environ; other servers leave it
where ``wsgi.input`` reads from, or have none in Python at all.
"""

from __future__ import annotations

import io
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bridge.types import Environ

__all__ = ["RawSocket", "find_raw_socket", "server_name"]


@dataclass(frozen=True, slots=True)
class RawSocket:
    """The connection of a request.

    :ivar connection: a socket of the operating system, or one with TLS.
    :ivar has_read_ahead: whether the server has read more from it than the head of the request.
    """

    connection: socket.socket
    has_read_ahead: Callable[[], bool]


def find_raw_socket(environ: Environ) -> RawSocket | None:
    """The socket of the client; None where the server has none to offer.

    An environ that has crossed the bridge before has only a socket to the bridge.
    """
    if "asgi.scope" in environ:
        return None
    for find in _FAMILIES:
        found = find(environ)
        if found is not None:
            return found
    return None


def _gunicorn(environ: Environ) -> RawSocket | None:
    connection = environ.get("gunicorn.socket")
    # Over HTTP/2 the connection belongs to many requests.
    if connection is None or environ.get("SERVER_PROTOCOL") != "HTTP/1.1":
        return None

    def has_read_ahead() -> bool:
        reader = getattr(environ["wsgi.input"], "reader", None)
        unreader = getattr(reader, "unreader", None)
        buffer = getattr(unreader, "buf", None)
        return isinstance(buffer, io.BytesIO) and bool(buffer.getvalue())

    return RawSocket(connection, has_read_ahead)


def _werkzeug(environ: Environ) -> RawSocket | None:
    connection = environ.get("werkzeug.socket")
    if connection is None:
        return None
    return RawSocket(connection, lambda: _has_buffered(environ["wsgi.input"], connection))


def _file_of_the_connection(environ: Environ) -> RawSocket | None:
    """wsgiref, whose ``wsgi.input`` is the file of the connection, and cheroot, which limits what
    is read from that."""
    stream = environ.get("wsgi.input")
    stream = getattr(stream, "rfile", stream)
    raw = getattr(stream, "raw", None)
    connection = getattr(raw, "_sock", None) if isinstance(raw, socket.SocketIO) else None
    if connection is None:
        return None
    return RawSocket(connection, lambda: _has_buffered(stream, connection))


def _has_buffered(stream: Any, connection: socket.socket) -> bool:
    """Whether a buffered reader has bytes, or gets some without waiting."""
    timeout = connection.gettimeout()
    connection.settimeout(0)
    try:
        return bool(stream.peek(1))
    except (AttributeError, OSError):  # another kind of stream, or the client has disconnected
        return False
    finally:
        connection.settimeout(timeout)


_FAMILIES = (_gunicorn, _werkzeug, _file_of_the_connection)


# -- servers without one ---------------------------------------------------------------------------

_MARKS = {
    "waitress.client_disconnected": "waitress",
    "uwsgi.version": "uWSGI",
    "mod_wsgi.version": "mod_wsgi",
}


def server_name(environ: Environ) -> str:
    """The name of the server, for messages."""
    for key, name in _MARKS.items():
        if key in environ:
            return name
    software = environ.get("SERVER_SOFTWARE")
    name = software.partition("/")[0].strip() if isinstance(software, str) else ""
    return name if name and name.isprintable() else "This WSGI server"
