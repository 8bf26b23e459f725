"""How many WebSockets may be open at once in a process.

Each needs a descriptor for as long as it is open. A server that has none left cannot accept
connections, and gunicorn's gthread worker exits at that error. So some are reserved: for the
server's connections, and for the files and databases of the app.
"""

from __future__ import annotations

import sys

from bridge._threads import process

if sys.platform != "win32":
    import resource

__all__ = ["admit", "limit", "release"]

RESERVED = 128
"""Descriptors that are left to the server and the app; three quarters of all, if there are few."""

_open: set[object] = set()


def limit() -> int:
    """How many WebSockets may be open now. It follows ``RLIMIT_NOFILE``."""
    if sys.platform == "win32":
        return sys.maxsize
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return sys.maxsize
    return max(soft - RESERVED, soft // 4)


def admit(websocket: object) -> bool:
    """Count a WebSocket as open, unless that is one too many. From any thread."""
    if len(_open) >= limit():
        return False
    _open.add(websocket)
    return True


def release(websocket: object) -> None:
    """The WebSocket is closed. From any thread."""
    _open.discard(websocket)


def _after_fork() -> None:
    _inherited.append(_open.copy())  # their sockets are still open in the parent
    _open.clear()


_inherited: list[set[object]] = []
process.in_child(process.Fork.ADAPTERS, _after_fork)
