"""The files of a project that matter: Python, and what starts it.

What enters: a folder. What leaves: paths, sorted. Symlinks to folders are not followed, so that
none is seen twice or for ever; environments, caches and what version control keeps are left out.
So are pipes, sockets and devices, for reading one may never end.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["walk"]

_LEFT_OUT = frozenset(
    {
        *("__pycache__", "node_modules", "site-packages", "build", "dist", ".eggs"),
        *(
            ".git",
            ".hg",
            ".svn",
            ".idea",
            ".vscode",
            ".tox",
            ".nox",
            ".venv",
            "venv",
            "env",
            ".env",
        ),
        *(".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"),
    }
)


def walk(root: Path, exclude: Sequence[str] = ()) -> Iterator[Path]:
    """Every file below a folder, sorted.

    :param exclude: patterns of paths relative to ``root``, as ``docs/*`` or ``*/testdata``; what
        a folder's path matches is left out with all that is in it.
    """
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        folders[:] = sorted(name for name in folders if _is_wanted(root, here / name, exclude))
        for name in sorted(names):
            if _is_a_file(here / name) and not _is_excluded(root, here / name, exclude):
                yield here / name


def _is_a_file(path: Path) -> bool:
    """A broken symlink counts: that it cannot be read is to be told."""
    return path.is_file() or not path.exists()


def _is_wanted(root: Path, folder: Path, exclude: Sequence[str]) -> bool:
    if folder.name in _LEFT_OUT or folder.name.endswith(".egg-info"):
        return False
    return not ((folder / "pyvenv.cfg").exists() or _is_excluded(root, folder, exclude))


def _is_excluded(root: Path, path: Path, exclude: Sequence[str]) -> bool:
    relative = path.relative_to(root).as_posix()
    return any(fnmatch.fnmatch(relative, pattern.rstrip("/")) for pattern in exclude)
