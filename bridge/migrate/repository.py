"""Asks git which files of a project it could not restore, without running code of the project.

Git runs programs that a repository's own configuration names: a file system monitor, hooks,
clean filters, and transports that fetch missing objects. All of them are off here.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bridge.errors import MigrationError

__all__ = ["ignored", "uncommitted"]


def uncommitted(folder: Path) -> list[str]:
    """The paths in a folder with uncommitted changes; none outside a git repository.

    Changes inside submodules are not included: git would read the configuration of each.

    :raises MigrationError: there is a repository, but git fails.
    """
    if _repository_of(folder) is None:
        return []
    options = ("--porcelain", "-z", "--no-renames", "--ignore-submodules=dirty")
    output = _git(folder, "status", *options, "--", ".")
    return [entry[3:] for entry in output.split("\0") if entry]


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
    """The output of a git command that runs none of the repository's programs.

    :param codes: the exit codes of success.
    :raises MigrationError: git cannot be run, fails, or times out.
    """
    listing = ("config", "--list", "--show-scope", "--name-only", "-z")
    fields = _run(folder, (*_NO_PROGRAMS, *listing)).split("\0")
    filters = _no_filters(folder, zip(fields[::2], fields[1::2], strict=False))
    return _run(folder, (*_NO_PROGRAMS, *filters, *arguments), stdin, codes)


_NO_PROGRAMS = ("-c", "core.fsmonitor=", "-c", f"core.hooksPath={os.devnull}")
_ENVIRONMENT = {
    "GIT_ALLOW_PROTOCOL": "none",  # a partial clone would fetch the objects it lacks
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
}


def _no_filters(folder: Path, scopes_and_names: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Options that switch off each filter of the repository's own configuration.

    A filter of the user, such as that of Git LFS, runs.
    """
    for scope, name in scopes_and_names:
        section, _, key = name.rpartition(".")
        if scope not in ("local", "worktree") or not section.startswith("filter."):
            continue
        if "=" in name or "\n" in name:
            raise MigrationError(_failure(folder, f"the name {name!r} of a filter is not usable"))
        yield from ("-c", f"{name}=false" if key == "required" else f"{name}=")


def _run(
    folder: Path, arguments: Sequence[str], stdin: str = "", codes: Sequence[int] = (0,)
) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            input=os.fsencode(stdin),
            env={**os.environ, **_ENVIRONMENT},
            capture_output=True,
            check=False,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MigrationError(_failure(folder, str(error))) from None
    if done.returncode not in codes:
        errors = os.fsdecode(done.stderr).strip() or "no error message"
        raise MigrationError(_failure(folder, errors.splitlines()[0]))
    return os.fsdecode(done.stdout)


def _failure(folder: Path, reason: str) -> str:
    return (
        f"{folder} is in a git repository, but git cannot report its state: {reason}. Fix the "
        "repository, or use --allow-dirty"
    )
