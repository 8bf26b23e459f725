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
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bridge.errors import MigrationError
from bridge.migrate.text import Text

__all__ = ["ignored", "uncommitted", "write_texts"]


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


def uncommitted(folder: Path) -> list[str]:
    """What git has not committed in a folder, as paths; none where there is no repository.

    :raises MigrationError: there is one, and git does not say.
    """
    if _repository_of(folder) is None:
        return []
    return [line[3:] for line in _git(folder, "status", "--porcelain", "--", ".").splitlines()]


def ignored(folder: Path, files: Iterable[Path]) -> list[Path]:
    """Those of these files that git ignores: it cannot take back what is written to them.

    :param folder: one in the repository; none are ignored where there is no repository.
    :raises MigrationError: there is one, and git does not say.
    """
    real = {str(path.resolve()): path for path in files}
    if not real or _repository_of(folder) is None:
        return []
    told = _git(folder, "check-ignore", "-z", "--stdin", given="\0".join(real), may_be=(0, 1))
    return [real[name] for name in told.split("\0") if name in real]


def _repository_of(folder: Path) -> Path | None:
    """The folder with ``.git`` that a folder is in: git's own answer may be that it refuses."""
    real = folder.resolve()
    return next((each for each in (real, *real.parents) if (each / ".git").exists()), None)


def _git(folder: Path, *words: str, given: str = "", may_be: Sequence[int] = (0,)) -> str:
    """
    :param may_be: the exit codes that are an answer.
    :raises MigrationError: there is none.
    """
    command = ["git", "-C", str(folder), *words]
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MigrationError(_not_told(folder, str(error))) from None
    if done.returncode not in may_be:
        first = (done.stderr.strip() or "no reason given").splitlines()[0]
        raise MigrationError(_not_told(folder, first))
    return done.stdout


def _not_told(folder: Path, reason: str) -> str:
    return (
        f"{folder} is in a git repository, and git does not tell what is committed there: "
        f"{reason}. Put that right, or use --allow-dirty"
    )
