"""``--fd``: a listening socket that ``bridge run`` inherits, as from systemd's socket activation.

Takes the number of a descriptor; raises :class:`~bridge.cli.address.AddressError` if no server can
accept connections there. The process that opened the socket keeps it open while this one restarts:
clients that connect in between wait in its backlog.
"""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import replace
from pathlib import Path

from bridge.cli.address import AddressError
from bridge.cli.options import RunOptions, UsageError

__all__ = ["with_inherited_address"]

_OF_SYSTEMD = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")


def with_inherited_address(options: RunOptions) -> RunOptions:
    """Check the socket ``options.fd``, if any, and prepare it for the server.

    ``TCP_NODELAY`` is set on it, which the connections that it accepts inherit: some servers take
    any inherited socket for a Unix socket, and leave Nagle's algorithm on. systemd's variables are
    removed, so that neither the server nor the app's own children use the socket again.

    :returns: the options, with ``host`` and ``port``, or ``uds``, of the socket.
    :raises AddressError: it is not a listening socket.
    :raises UsageError: ``uds`` was given as well.
    """
    if options.fd is None:
        return options
    if options.uds is not None:
        raise UsageError("--fd and --uds cannot be combined: each is an address to listen on")
    listener = _listening_socket(options.fd)
    try:
        address = listener.getsockname()
        if listener.family == socket.AF_UNIX:
            options = replace(options, uds=_path_of(address))
        else:
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            options = replace(options, host=address[0], port=address[1])
    finally:
        listener.detach()  # the descriptor belongs to the server
    for name in _OF_SYSTEMD:
        os.environ.pop(name, None)
    return options


def _path_of(address: str | bytes) -> Path:
    """The path of a Unix socket. An abstract one, which Linux has, is shown as systemd writes it:
    its name after an ``@``."""
    return Path(address if isinstance(address, str) else f"@{os.fsdecode(address[1:])}")


def _listening_socket(fd: int) -> socket.socket:
    """The open socket of that number. Closing the object closes the descriptor.

    :raises AddressError: the number is not that of a socket that listens for TCP or Unix
        connections.
    """
    try:
        listener = socket.socket(fileno=fd)
    except OSError as error:
        raise AddressError(f"--fd {fd}: {_reason(error)}") from None
    families = (socket.AF_INET, socket.AF_INET6, getattr(socket, "AF_UNIX", None))
    if listener.family not in families or listener.type != socket.SOCK_STREAM:
        reason = "the socket is not for TCP or Unix connections (ListenStream= in systemd)"
    elif not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        reason = "the socket does not listen. With systemd, set Accept=no in the socket unit"
    else:
        return listener
    listener.detach()
    raise AddressError(f"--fd {fd}: {reason}")


def _reason(error: OSError) -> str:
    if error.errno == errno.EBADF:
        return (
            "no open descriptor has this number. The first socket of systemd is 3, if the socket "
            "unit is active and belongs to this service"
        )
    if error.errno == errno.ENOTSOCK:
        return "this descriptor is not a socket"
    return error.strerror or str(error)
