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
Rule 3. The decoy takes the head of the server's own response, which reaches nobody. It is dropped
        in ``close()`` of the response, when the server has written it: earlier, the server would
        log an error.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from bridge._threads.locks import original

__all__ = ["Decoy", "TakenOver", "take_over"]


class Decoy:
    """PEP 3333's iterable, empty: the response of a request whose connection is taken over.

    :param peer: the other end of what the server takes for its connection.
    """

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer

    def __iter__(self) -> Iterator[bytes]:
        return iter(())

    def close(self) -> None:
        """The server has finished with the response."""
        self._peer.close()


@dataclass(frozen=True, slots=True)
class TakenOver:
    """A connection that is bridge's.

    :ivar connection: to the client, not blocking.
    :ivar decoy: for the server.
    """

    connection: socket.socket
    decoy: Decoy


def take_over(connection: socket.socket) -> TakenOver:
    """Take ``connection`` away from the server.

    :raises OSError: there are no descriptors left. The connection is unchanged.
    """
    real_socket = original(socket, "socket")
    peer, decoy = _socket_pair(real_socket)
    with decoy:
        try:
            peer.shutdown(socket.SHUT_WR)  # rule 2
            taken: socket.socket = real_socket(fileno=os.dup(connection.fileno()))
        except OSError:
            peer.close()
            raise
        taken.setblocking(False)
        os.dup2(decoy.fileno(), connection.fileno(), inheritable=False)
    return TakenOver(taken, Decoy(peer))


def _socket_pair(real_socket: type[socket.socket]) -> tuple[socket.socket, socket.socket]:
    """A pair of sockets of the operating system, also under gevent."""
    first, second = socket.socketpair()
    return real_socket(fileno=first.detach()), real_socket(fileno=second.detach())
