"""Ports for servers that are told a number and cannot take an open socket.

What enters: nothing. What leaves: a socket that is bound and does not listen. While it is open no
other program is given its port, and whoever connects to it is refused; but a server that sets
``SO_REUSEADDR``, as all of them do, can listen there. So whoever answers at the port is the server
that was started on it, also when it comes late, or has ended and comes back.
"""

from __future__ import annotations

import socket

__all__ = ["HOST", "held_port", "port_of"]

HOST = "127.0.0.1"


def held_port() -> socket.socket:
    """A free port of the loopback, kept until the socket is closed. For a ``with`` statement."""
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((HOST, 0))
    except BaseException:
        holder.close()
        raise
    return holder


def port_of(holder: socket.socket) -> int:
    """Its number."""
    port: int = holder.getsockname()[1]
    return port
