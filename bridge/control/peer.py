"""Who is at the other end of a Unix socket, where the system reports it. Pure.

The mode of the folder and of the socket keep other users out already. This is the second check, for
a folder that was open for a moment, or a descriptor that was passed on.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import Protocol

__all__ = ["is_allowed", "peer_uid"]

_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid


class _Socket(Protocol):
    def getsockopt(self, level: int, option: int, size: int, /) -> bytes: ...


def peer_uid(connection: _Socket) -> int | None:
    """The user of the process that has connected, or listens; None if the system does not report
    it."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    _, uid, _ = _CREDENTIALS.unpack(
        connection.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size)
    )
    return int(uid)


def is_allowed(connection: _Socket) -> bool:
    """Whether the peer is this process' own user, or root."""
    uid = peer_uid(connection)
    return uid is None or uid in (os.geteuid(), 0)
