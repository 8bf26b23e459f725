"""The folders that have the control sockets: only their owner can enter them.

Input: the folder that a user has chosen, if any. Output: a folder whose sockets no other user can
reach, or replace by their own. No thread is involved.

Rule 1. A folder has mode 0700 and belongs to the effective user of the process. It is checked with
        ``lstat``: a link, which somebody may have put into ``/tmp``, is refused.
Rule 2. Nobody else can rename a folder of ours in its parent: that is not writable for all, or has
        the sticky bit, as ``/tmp`` has.
Rule 3. A socket is named ``SERVER-PID.sock``: processes of one server have the first number in
        common.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from pathlib import Path

from bridge.errors import BridgeError

__all__ = [
    "ControlError",
    "default_folder",
    "default_folders",
    "name_of",
    "parts_of",
    "prepare",
]

LONGEST_PATH = 107 if sys.platform == "linux" else 103
"""Bytes of the path of a Unix socket: ``sun_path`` without its NUL."""

LONGEST_NAME = "/4194304-4194304.sock"  # with the highest PID of Linux


class ControlError(BridgeError):
    """No control socket can be opened, found or read. The message gives the reason."""


def name_of(server: int, pid: int) -> str:
    """The name of the socket of a process."""
    return f"{server}-{pid}.sock"


def parts_of(name: str) -> tuple[int, int] | None:
    """The server and the process of a socket, from its name; None if it is no such name."""
    server, _, pid = name.removesuffix(".sock").partition("-")
    if name.endswith(".sock") and server.isdecimal() and pid.isdecimal():
        return int(server), int(pid)
    return None


def default_folder() -> Path:
    """Where the sockets of this user are: below its runtime folder, or else in ``/tmp``."""
    return default_folders()[0]


def default_folders() -> list[Path]:
    """Where a process of this user may have put them: it may have had another environment."""
    uid = os.geteuid()
    runtimes = [Path(os.environ.get("XDG_RUNTIME_DIR") or "/nowhere"), Path(f"/run/user/{uid}")]
    private = [base / "bridge" for base in runtimes if _refusal(base, uid) is None]
    shared = [Path(base) / f"bridge-{uid}" for base in (tempfile.gettempdir(), "/tmp")]
    return list(dict.fromkeys([*private, *shared]))


def prepare(folder: Path | None = None) -> Path:
    """The folder, which is made if there is none.

    :param folder: None: the default one.
    :returns: its absolute path.
    :raises ControlError: the system has no Unix sockets; other users can enter the folder or
        replace it; it cannot be made; or its path is too long.
    """
    if not hasattr(os, "geteuid"):
        raise ControlError("control: this system does not support Unix sockets")
    chosen = default_folder() if folder is None else folder.absolute()
    length = len(os.fsencode(chosen)) + len(LONGEST_NAME)
    if length > LONGEST_PATH:
        raise ControlError(
            f"control: the path of a socket in {chosen} has up to {length} bytes, and a Unix "
            f"socket allows {LONGEST_PATH}. Choose a shorter path"
        )
    try:
        chosen.mkdir(mode=0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise ControlError(f"control: cannot make {chosen}: {error.strerror or error}") from None
    refusal = _refusal(chosen, os.geteuid()) or _refusal_of_parent(chosen.parent)
    if refusal is not None:
        raise ControlError(f"control: {refusal}. Choose a folder of your own, with mode 0700")
    return chosen


def is_own(folder: Path) -> bool:
    """Whether only this user can have put something into ``folder``."""
    return _refusal(folder, os.geteuid()) is None


def _refusal(folder: Path, uid: int) -> str | None:
    """Why the folder is not private; None if it is."""
    try:
        found = os.lstat(folder)
    except OSError as error:
        return f"{folder}: {error.strerror or error}"
    if not stat.S_ISDIR(found.st_mode):
        return f"{folder} is not a folder" + (", but a link" * stat.S_ISLNK(found.st_mode))
    if found.st_uid != uid:
        return f"{folder} belongs to user {found.st_uid}, not to {uid}"
    if stat.S_IMODE(found.st_mode) & 0o077:
        return f"other users can enter {folder} (mode {stat.S_IMODE(found.st_mode):04o})"
    return None


def _refusal_of_parent(parent: Path) -> str | None:
    mode = os.stat(parent).st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        return f"other users can rename what is in {parent} (mode {stat.S_IMODE(mode):04o})"
    return None
