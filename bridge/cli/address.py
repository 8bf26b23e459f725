"""Checks that the address is free before a server starts, so that the error is one clear line.

Takes a host and a port, which may be 0, or the path of a Unix socket; raises :class:`AddressError`.
The socket opened for the check is closed again, so another process can still take the port: then
the server reports it in its own words.
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
    """No server can listen at the address. The message gives the reason and a remedy."""


def free_port(host: str, port: int) -> int:
    """Check that a server can listen on ``host:port``.

    :returns: ``port``, or a free one if it is 0.
    :raises AddressError: it is in use, not allowed, or not an address of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as listener:
            if sys.platform != "win32":  # there the option lets two servers share the port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1)  # without it, binding twice with SO_REUSEADDR succeeds
            return int(listener.getsockname()[1])
    except socket.gaierror as error:
        raise AddressError(f"--host {host}: {error.strerror or error}") from None
    except OSError as error:
        raise AddressError(f"cannot listen on {host}:{port}: {_reason(error)}") from None


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            "the port is in use. Stop the process that uses it, or choose another one with --port "
            "(0 for any free port)"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address. Use 0.0.0.0 to listen on all interfaces"
    if error.errno == errno.EACCES:
        return "permission denied. Ports below 1024 often need special rights; try --port 8000"
    return error.strerror or str(error)


def free_path(path: Path) -> None:
    """Check that a server can listen on a Unix socket at ``path``. A stale socket is removed.

    :raises AddressError: a server listens there already, the file is not a socket, its folder does
        not exist, or the system refuses, for example because the path is too long or the folder is
        not writable.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise AddressError("--uds: this system does not support Unix sockets")
    try:
        _remove_stale(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(path))
        path.unlink()
    except OSError as error:
        raise AddressError(f"--uds {path}: {error.strerror or error}") from None


def _remove_stale(path: Path) -> None:
    if not path.absolute().parent.is_dir():
        raise AddressError(f"--uds {path}: the folder {path.absolute().parent} does not exist")
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise AddressError(f"--uds {path}: the file exists and is not a socket")
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
