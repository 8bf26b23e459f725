"""Reads the deploy files of a project.

Input: the paths of its files. Output: a :class:`~bridge.migrate.deploy.records.Deploy`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bridge.migrate.deploy.commands import commands_in
from bridge.migrate.deploy.configs import arguments_in, configs_in, nginx_in
from bridge.migrate.deploy.records import Deploy
from bridge.migrate.text import CannotRead, Text, read_text

__all__ = ["read_deploy"]

_MAX_BYTES = 256 * 1024
"""Larger files are not read: start scripts and configurations are far smaller."""
_IGNORED_SUFFIXES = frozenset(
    f".{ending}"
    for ending in (
        *("css", "csv", "gif", "gz", "html", "ico", "jpeg", "jpg", "js", "json", "lock", "map"),
        *("md", "mo", "pdf", "po", "png", "pyc", "rst", "scss", "so", "sql", "svg", "ts", "tsx"),
        *("woff", "woff2", "zip"),
    )
)


def read_deploy(files: Sequence[Path], texts: Mapping[Path, Text] | None = None) -> Deploy:
    """Read all deploy files among these. Files that cannot be decoded are skipped.

    :param texts: new texts of some files, used instead of what is on disk.
    """
    deploy = Deploy((), (), ())
    changed = {path: text.text for path, text in (texts or {}).items() if _is_candidate(path)}
    for path in files:
        text = changed.get(path) or _text_of(path)
        if text is not None:
            deploy = Deploy(
                (*deploy.commands, *commands_in(path, text)),
                (*deploy.configs, *configs_in(path, text)),
                (*deploy.nginx, *nginx_in(path, text)),
                (*deploy.more_arguments, *arguments_in(path, text)),
            )
    return deploy


def _is_candidate(path: Path) -> bool:
    is_python = path.suffix == ".py" and "gunicorn" not in path.name
    return not is_python and path.suffix.lower() not in _IGNORED_SUFFIXES


def _text_of(path: Path) -> str | None:
    if not _is_candidate(path):
        return None
    try:
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            return None
        return read_text(path).text
    except (OSError, CannotRead):
        return None
