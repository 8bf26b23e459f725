"""Writes fixed files, either all of them or none, and checks what git can restore.

Input: new texts. Output: files, with their encoding, mode and symlinks unchanged. Each text is
first written to a temporary file beside its target; the targets are replaced when all are complete.
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


def uncommitted(folder: Path) -> list[str]:
    """The paths in a folder with uncommitted changes; none outside a git repository.

    :raises MigrationError: there is a repository, but git fails.
    """
    if _repository_of(folder) is None:
        return []
    return [line[3:] for line in _git(folder, "status", "--porcelain", "--", ".").splitlines()]


def ignored(folder: Path, files: Iterable[Path]) -> list[Path]:
    """Those of these files that git ignores and therefore cannot restore.

    :param folder: a folder of the repository; outside a repository no file is ignored.
    :raises MigrationError: there is a repository, but git fails.
    """
    real = {str(path.resolve()): path for path in files}
    if not real or _repository_of(folder) is None:
        return []
    output = _git(folder, "check-ignore", "-z", "--stdin", stdin="\0".join(real), codes=(0, 1))
    return [real[name] for name in output.split("\0") if name in real]


def _repository_of(folder: Path) -> Path | None:
    """The repository that contains a folder; git itself may refuse to report it."""
    real = folder.resolve()
    return next((each for each in (real, *real.parents) if (each / ".git").exists()), None)


def _git(folder: Path, *arguments: str, stdin: str = "", codes: Sequence[int] = (0,)) -> str:
    """The output of a git command.

    :param codes: the exit codes of success.
    :raises MigrationError: git cannot be run, fails, or times out.
    """
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MigrationError(_git_failure(folder, str(error))) from None
    if done.returncode not in codes:
        reason = (done.stderr.strip() or "no error message").splitlines()[0]
        raise MigrationError(_git_failure(folder, reason))
    return done.stdout


def _git_failure(folder: Path, reason: str) -> str:
    return (
        f"{folder} is in a git repository, but git cannot report its state: {reason}. Fix the "
        "repository, or use --allow-dirty"
    )
