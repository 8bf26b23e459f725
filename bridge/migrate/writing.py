"""Writes fixed files, either all of them or none.

Input: new texts. Output: files, with their encoding, mode and symlinks unchanged. Each text is
first written to a temporary file beside its target; the targets are replaced when all are complete.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bridge.errors import MigrationError
from bridge.migrate.text import Text

__all__ = ["write_texts"]


def write_texts(texts: Mapping[Path, Text]) -> None:
    """Write these files.

    :raises MigrationError: one cannot be written, or its encoding lacks a character of the new
        text. No file has changed then, unless the disk failed while files were replaced.
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
        raise MigrationError(f"{path} is read-only; nothing was written. Try chmod u+w {path}")
    folder = next(each for each in real.parents if each.exists())
    if not os.access(folder, os.W_OK):
        raise MigrationError(f"{folder} is read-only; nothing was written")


def _write_aside(path: Path, text: Text) -> Path:
    real = path.resolve()
    try:
        data = text.text.encode(text.encoding)
    except UnicodeEncodeError:
        raise MigrationError(
            f"{path}: the fixed text cannot be encoded in {text.encoding}; nothing was written"
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
