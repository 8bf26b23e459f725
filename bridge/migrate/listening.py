"""The addresses that a process group listens on, from ``/proc``; none on other systems."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

__all__ = ["listening_addresses"]

_LISTEN = "0A"
_PROC = Path("/proc")


def listening_addresses(group: int) -> list[str]:
    """As ``127.0.0.1:8000`` and ``[::]:8000``, sorted."""
    inodes = set(_sockets_of(group))
    found = {
        address
        for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6))
        for inode, address in _listening(_PROC / "net" / table, family)
        if inode in inodes
    }
    return sorted(found)


def _sockets_of(group: int) -> Iterator[str]:
    """The inodes of the sockets that the processes of a group have open."""
    for stat in _PROC.glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[2]) != group:
                continue
            targets = [str(each.readlink()) for each in (stat.parent / "fd").iterdir()]
        except (OSError, ValueError):  # it has ended meanwhile
            continue
        for target in targets:
            if target.startswith("socket:["):
                yield target[len("socket:[") : -1]


def _listening(table: Path, family: socket.AddressFamily) -> Iterator[tuple[str, str]]:
    """The inode and address of each listening socket in a table of the kernel."""
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return
    for line in lines:
        fields = line.split()
        if fields[3] == _LISTEN:
            yield fields[9], _shown(fields[1], family)


def _shown(written: str, family: socket.AddressFamily) -> str:
    """``0100007F:1F90`` as ``127.0.0.1:8000``: words in the byte order of the machine."""
    host, _, port = written.partition(":")
    words = (int(host[start : start + 8], 16) for start in range(0, len(host), 8))
    packed = b"".join(struct.pack("=I", word) for word in words)
    address = socket.inet_ntop(family, packed)
    return f"[{address}]:{int(port, 16)}" if ":" in address else f"{address}:{int(port, 16)}"
