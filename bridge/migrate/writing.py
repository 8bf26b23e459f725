"""Write what fixes came to: all files or, if something is in the way, none.

What enters: new texts. What leaves: files, with their encoding, mode and place behind symlinks.
Each is written next to its file under a temporary name first; only when all are there do they take
the files' places.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bridge.errors import MigrationError
from bridge.migrate.module import Text

__all__ = ["is_dirty", "write_texts"]


def write_texts(texts: Mapping[Path, Text]) -> None:
    """Write these files.

    :raises MigrationError: one cannot be written, or a new text does not fit its file's encoding.
        No file has changed then, unless the disk failed midway.
    """
    for path in texts:
        _check_writable(path)
    ready: list[tuple[Path, Path]] = []
    try:
        for path, text in texts.items():
            ready.append((_write_aside(path, text), path.resolve()))
        for temporary, path in ready:
            os.replace(temporary, path)
    except OSError as error:
        raise MigrationError(f"{error.filename or path}: {error.strerror}") from None
    finally:
        for temporary, _ in ready:
            temporary.unlink(missing_ok=True)


def _check_writable(path: Path) -> None:
    real = path.resolve()
    if real.exists() and not real.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
        raise MigrationError(f"{path} is read-only; nothing was written. chmod u+w it to go on")
    folder = _existing(real.parent)
    if not os.access(folder, os.W_OK):
        raise MigrationError(f"{folder} is read-only; nothing was written")


def _existing(folder: Path) -> Path:
    return folder if folder.exists() else _existing(folder.parent)


def _write_aside(path: Path, text: Text) -> Path:
    real = path.resolve()
    try:
        data = text.text.encode(text.encoding)
    except UnicodeEncodeError:
        raise MigrationError(
            f"{path}: the fixed text cannot be written in {text.encoding}; nothing was written"
        ) from None
    real.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(prefix=f".{real.name}.", suffix=".tmp", dir=real.parent)
    with open(number, "wb") as file:
        file.write(data)
    if real.exists():
        shutil.copymode(real, name)
    else:
        os.chmod(name, 0o666 & ~_umask())
    return Path(name)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def is_dirty(folder: Path) -> list[str]:
    """What git has not committed in a folder, as paths; none where there is no repository."""
    command = ["git", "-C", str(folder), "status", "--porcelain", "--", "."]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line[3:] for line in done.stdout.splitlines()] if done.returncode == 0 else []
