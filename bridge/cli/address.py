"""Is the address free? Asked before a server starts, so that the answer is one clear line.

What enters: host and port, or the path of a unix socket. What leaves: the port, chosen if it was 0;
or :class:`AddressError`. The socket made to find out is closed again, so another process could
still take the port: then the server's own message says it.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from pathlib import Path

from bridge.errors import BridgeError

__all__ = ["AddressError", "free_path", "free_port", "url_of"]


class AddressError(BridgeError):
    """Nothing can listen there. Says why, and what to do."""


def free_port(host: str, port: int) -> int:
    """Make sure that ``host:port`` can be listened on.

    :returns: ``port``, or a free one if it is 0.
    :raises AddressError: it is in use, not allowed, or no address of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as listener:
            if sys.platform != "win32":  # there it would let two servers share the port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1)  # or a second binding with SO_REUSEADDR goes unnoticed
            return int(listener.getsockname()[1])
    except socket.gaierror as error:
        raise AddressError(f"--host {host}: {error.strerror or error}") from None
    except OSError as error:
        raise AddressError(f"cannot listen on {host}:{port}: {_reason(error)}") from None


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is in use. Stop what uses it, or choose another with --port (0: any free)"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address. 0.0.0.0 means all that it has"
    if error.errno == errno.EACCES:
        return "permission denied. Ports below 1024 often need rights; try --port 8000"
    return error.strerror or str(error)


def free_path(path: Path) -> None:
    """Make sure that a unix socket can be made at ``path``. One that nobody serves is removed.

    :raises AddressError: it is served already, is no socket, its folder does not exist, or the
        system refuses: the path is too long for it, say, or the folder is not ours to write to.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise AddressError("--uds: this system has no unix sockets")
    try:
        _remove_stale(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(path))
        path.unlink()
    except OSError as error:
        raise AddressError(f"--uds {path}: {error.strerror or error}") from None


def _remove_stale(path: Path) -> None:
    if not path.absolute().parent.is_dir():
        raise AddressError(f"--uds {path}: there is no folder {path.absolute().parent}")
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise AddressError(f"--uds {path}: there is a file of that name that is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        if probe.connect_ex(str(path)) == 0:
            raise AddressError(f"--uds {path}: the socket is in use")
    path.unlink()


def url_of(host: str, port: int, uds: Path | None, root_path: str) -> str:
    """The URL to open in a browser on this machine."""
    if uds is not None:
        return f"unix:{uds}"
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
    shown = f"[{shown}]" if ":" in shown and not shown.startswith("[") else shown
    return f"http://{shown}:{port}{root_path}/"
