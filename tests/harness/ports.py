"""Reserved ports, for servers that take a port number and not an open socket.

:func:`held_port` returns a socket that is bound and does not listen. While it is open, the kernel
gives its port to no other program and refuses connections to it. A server that sets
``SO_REUSEADDR``, as all of them do, can still listen there. So only the server that was started on
the port can answer, also when it starts late or restarts.
"""

from __future__ import annotations

import socket

__all__ = ["HOST", "held_port", "port_of"]

HOST = "127.0.0.1"


def held_port() -> socket.socket:
    """Reserve a free loopback port until the socket is closed. Use in a ``with`` statement."""
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((HOST, 0))
    except BaseException:
        holder.close()
        raise
    return holder


def port_of(holder: socket.socket) -> int:
    """The port number of a reserved port."""
    port: int = holder.getsockname()[1]
    return port
