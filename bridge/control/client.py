"""Finds the control sockets of a server, and reads from all of them at once. For commands.

Input: an address as a user types it, or none. Output: one answer for each process, or why there is
none. What a process answers is not trusted with a terminal: see `bridge.cli.control`.
"""

from __future__ import annotations

import os
import socket
import stat
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bridge.control.folders import ControlError, default_folders, is_own, parts_of
from bridge.control.listener import remove_stale
from bridge.control.peer import is_allowed
from bridge.control.protocol import LONGEST_ANSWER, Answer, parse_answer, request_line

__all__ = ["Report", "find", "read"]

MOST_AT_ONCE = 32
RETRY_S = 0.02


@dataclass(frozen=True)
class Report:
    """What a process answers.

    :ivar pid: from the name of its socket; 0 if that does not say.
    :ivar answer: None if there is none.
    :ivar problem: why.
    """

    pid: int
    answer: Answer | None
    problem: str = ""

    def as_json(self) -> Answer:
        """The answer, or why there is none."""
        return {"pid": self.pid, "problem": self.problem} if self.answer is None else self.answer


def find(address: str | None = None) -> list[Path]:
    """The sockets to read.

    :param address: a socket, a folder with sockets, or the PID of a server or of one of its
        processes. None: those of the only server of this user that listens.
    :raises ControlError: there is none, or there are several servers.
    """
    if address is not None and not address.isdecimal():
        return _in(Path(address))
    own = [folder for folder in default_folders() if is_own(folder)]
    paths = [path for folder in own for path in _sockets(folder)]
    if address is not None:
        found = [path for path in paths if int(address) in (parts_of(path.name) or ())]
        if not found:
            where = ", ".join(map(str, default_folders()))
            raise ControlError(
                f"no control socket of process {address} in {where}. {_found(paths)}. "
                "If the server was started with --control PATH, give that PATH"
            )
        return found
    return _of_one_server(paths)


def _in(path: Path) -> list[Path]:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise ControlError(f"{path}: {error.strerror or error}") from None
    if stat.S_ISSOCK(mode):
        return [path]
    if stat.S_ISDIR(mode):
        return _of_one_server(_sockets(path), path)
    raise ControlError(f"{path} is neither a socket nor a folder with sockets")


def _sockets(folder: Path) -> list[Path]:
    """Those of processes that run. Root may name the folder of any user."""
    if is_own(folder):
        remove_stale(folder)
    elif os.geteuid() != 0:
        raise ControlError(f"{folder} is not a folder that only this user can enter")
    named = [path for path in folder.glob("*.sock") if parts_of(path.name) is not None]
    return sorted(named, key=lambda path: parts_of(path.name) or ())


def _of_one_server(paths: Sequence[Path], folder: Path | None = None) -> list[Path]:
    servers = {(parts_of(path.name) or (0,))[0] for path in paths}
    if len(servers) == 1:
        return list(paths)
    if not servers:
        where = ", ".join(str(each) for each in ([folder] if folder else default_folders()))
        raise ControlError(
            f"no server listens in {where}. Start one with bridge run --control, or call "
            "bridge.control.listen() in its workers"
        )
    raise ControlError(f"several servers listen. {_found(paths)}")


def _found(paths: Sequence[Path]) -> str:
    servers = sorted({(parts_of(path.name) or (0,))[0] for path in paths})
    listed = ", ".join(str(server) for server in servers)
    return f"Give one as ADDRESS: {listed}" if servers else "No server listens"


def read(paths: Sequence[Path], get: str, timeout_s: float) -> list[Report]:
    """Read from all processes at the same time.

    :param get: ``snapshot`` or ``stacks``.
    :param timeout_s: the longest to wait for any of them.
    """
    ends_at = time.monotonic() + timeout_s
    with ThreadPoolExecutor(MOST_AT_ONCE) as executor:
        return list(executor.map(lambda path: _read(path, get, ends_at), paths))


def _read(path: Path, get: str, ends_at: float) -> Report:
    parts = parts_of(path.name)
    pid = parts[1] if parts else 0
    try:
        return Report(pid, _ask(path, get, ends_at))
    except TimeoutError:
        return Report(pid, None, "no answer: the process is stopped, or holds the interpreter")
    except (OSError, ValueError, RecursionError) as error:
        return Report(pid, None, f"{path}: {error}")


def _ask(path: Path, get: str, ends_at: float) -> Answer:
    """
    :raises OSError: nobody listens, nobody answers, or the answer is cut.
    :raises ValueError: it is no answer.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        _connect(connection, path, ends_at)
        if os.geteuid() != 0 and not is_allowed(connection):
            raise ValueError("another user listens there")
        connection.sendall(request_line(get))
        received = bytearray()
        while not received.endswith(b"\n"):
            connection.settimeout(_left_s(ends_at))
            data = connection.recv(65536)
            if not data or len(received) > LONGEST_ANSWER:
                raise ValueError("the answer is cut" if not data else "the answer is too long")
            received += data
        return parse_answer(bytes(received))


def _connect(connection: socket.socket, path: Path, ends_at: float) -> None:
    """A Unix socket with a full backlog refuses at once, whatever the timeout is."""
    while True:
        connection.settimeout(_left_s(ends_at))
        try:
            connection.connect(os.fspath(path))
        except BlockingIOError:
            if time.monotonic() > ends_at:
                raise TimeoutError from None
            time.sleep(RETRY_S)
        else:
            return


def _left_s(ends_at: float) -> float:
    return max(ends_at - time.monotonic(), 0.001)
