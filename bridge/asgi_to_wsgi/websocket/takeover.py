"""Takes a connection away from a WSGI server, which must not close it. On the server thread.

::

    before    server -- descriptor 7 -- client
    after     server -- descriptor 7 -- decoy          bridge -- descriptor 9 -- client

The server keeps its socket object, its descriptor and its count of connections. What it writes and
closes from now on is one end of a socket pair, the *decoy*; the connection has another descriptor.

Rule 1. All descriptors are made before anything is changed: if there are too few, the connection is
        the server's, and it can answer.
Rule 2. The decoy is at its end for a server that reads: gunicorn from 26 on reads until then before
        it closes a connection, for up to two seconds.
Rule 3. A connection with TLS keeps its descriptor, see :mod:`bridge.asgi_to_wsgi.websocket.tls`.
Rule 4. The decoy takes the head of the server's own response, which reaches nobody. It is dropped
        in ``close()`` of the response, when the server has written it: earlier, the server would
        log an error.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import ssl
from asyncio import AbstractEventLoop
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from bridge._threads.greenlets import original
from bridge.asgi_to_wsgi.websocket.tls import TlsConnection, redirect

__all__ = ["Decoy", "PlainConnection", "TakenOver", "take_over"]


class PlainConnection:
    """A connection without TLS that is bridge's."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    async def connect(self, loop: AbstractEventLoop, protocol: asyncio.BufferedProtocol) -> None:
        """Serve the connection on ``loop``.

        :raises OSError: the client has disconnected.
        """
        await loop.connect_accepted_socket(lambda: protocol, self._socket)

    def close(self) -> None:
        """Close it."""
        self._socket.close()


class Decoy:
    """PEP 3333's iterable, empty: the response of a request whose connection is taken over.

    :param peer: the other end of what the server takes for its connection.
    """

    def __init__(self, peer: socket.socket, *more: socket.socket) -> None:
        self._sockets = (peer, *more)

    def __iter__(self) -> Iterator[bytes]:
        return iter(())

    def close(self) -> None:
        """The server has finished with the response."""
        for each in self._sockets:
            each.close()


@dataclass(frozen=True, slots=True)
class TakenOver:
    """A connection that is bridge's, and the response for the server."""

    connection: PlainConnection | TlsConnection
    decoy: Decoy


def take_over(connection: socket.socket) -> TakenOver:
    """Take ``connection`` away from the server.

    :raises OSError: there are no descriptors left. The connection is unchanged.
    """
    real_socket = original(socket, "socket")
    peer, decoy = _socket_pair(real_socket)
    try:
        peer.shutdown(socket.SHUT_WR)  # rule 2
        if hasattr(connection, "_sslobj"):  # of Python's ssl, or of gevent
            return TakenOver(redirect(cast("ssl.SSLSocket", connection), decoy), Decoy(peer))
        descriptor = connection.fileno()
        plain: socket.socket = real_socket(fileno=os.dup(descriptor))
    except OSError:
        peer.close()
        decoy.close()
        raise
    plain.setblocking(False)
    _forget_in_gevent(connection)
    with decoy:
        os.dup2(decoy.fileno(), descriptor, inheritable=False)
    return TakenOver(PlainConnection(plain), Decoy(peer))


def _forget_in_gevent(connection: Any) -> None:
    """Remove a socket of gevent from the epoll set of its hub.

    gevent leaves that to ``close()``, which here closes the decoy: the hub would go on to be woken
    for each message of the client.
    """
    loop = getattr(getattr(connection, "hub", None), "loop", None)
    make_epoll = original(select, "epoll")
    if loop is None or make_epoll is None:
        return
    try:
        epoll = make_epoll.fromfd(os.dup(loop.fileno()))
    except (AttributeError, OSError, TypeError, ValueError):  # a loop without epoll
        return
    try:
        epoll.unregister(connection.fileno())
    except OSError:  # it was never watched
        pass
    finally:
        epoll.close()


def _socket_pair(real_socket: type[socket.socket]) -> tuple[socket.socket, socket.socket]:
    """A pair of sockets of the operating system, also under gevent."""
    first, second = socket.socketpair()
    return real_socket(fileno=first.detach()), real_socket(fileno=second.detach())
