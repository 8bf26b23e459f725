"""How a project is started: the command lines and configuration in its deploy files.

What enters: the paths of a project's files. What leaves: a :class:`Deploy`. One module for each
step::

    shell      a command line's words, what it starts      records   the types
    places     where command lines stand: Procfile, ...    configs   gunicorn, uwsgi, nginx
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bridge.migrate.deploy.configs import configs_in, nginx_in
from bridge.migrate.deploy.places import commands_in
from bridge.migrate.deploy.records import (
    GUNICORN_CMD_ARGS,
    ConfigValue,
    Deploy,
    NginxConfig,
    NginxDirective,
    ServerConfig,
    StartCommand,
)
from bridge.migrate.text import CannotRead, Text, read_text

__all__ = [
    "ConfigValue",
    "Deploy",
    "NginxConfig",
    "NginxDirective",
    "ServerConfig",
    "StartCommand",
    "read_deploy",
]

_MOST_BYTES = 256 * 1024  # a start script is a page, not a dump
_LEFT_OUT = frozenset(
    f".{ending}"
    for ending in (
        *("css", "csv", "gif", "gz", "html", "ico", "jpeg", "jpg", "js", "json", "lock", "map"),
        *("md", "mo", "pdf", "po", "png", "pyc", "rst", "scss", "so", "sql", "svg", "ts", "tsx"),
        *("woff", "woff2", "zip"),
    )
)


def read_deploy(files: Sequence[Path], texts: Mapping[Path, Text] | None = None) -> Deploy:
    """Read all deploy files there are among these. Files that cannot be decoded are none.

    :param texts: what is in some of them, where that is not to be read from disk.
    """
    deploy = Deploy((), (), ())
    given = {path: text.text for path, text in (texts or {}).items() if _is_candidate(path)}
    for path in files:
        text = given.get(path) or _text_of(path)
        if text is not None:
            deploy = Deploy(
                (*deploy.commands, *commands_in(path, text)),
                (*deploy.configs, *configs_in(path, text)),
                (*deploy.nginx, *nginx_in(path, text)),
                (*deploy.more_arguments, *([path] if GUNICORN_CMD_ARGS in text else [])),
            )
    return deploy


def _is_candidate(path: Path) -> bool:
    is_python = path.suffix == ".py" and "gunicorn" not in path.name
    return not is_python and path.suffix.lower() not in _LEFT_OUT


def _text_of(path: Path) -> str | None:
    if not _is_candidate(path):
        return None
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return None
        return read_text(path).text
    except (OSError, CannotRead):
        return None
