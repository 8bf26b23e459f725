"""The WSGI servers that a project is started with.

What enters: a project. What leaves: a :class:`~bridge.migrate.deploy.server.Server` for each start
command of gunicorn and uwsgi, and for each configuration that no command names. Servers that serve
ASGI apps (gunicorn with uvicorn's workers, or its own ``asgi`` ones) are not among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.migrate.deploy.server import Option, Server, server_of_command, server_of_config
from bridge.migrate.text import CannotRead
from bridge.migrate.web_app import is_asgi

if TYPE_CHECKING:
    from bridge.migrate.project import Project

__all__ = ["all_servers", "line_at", "serves_asgi", "text_at", "wsgi_servers"]

_NOT_SERVING = ("check_config", "print_config", "version", "help", "show-config")


def all_servers(project: Project) -> Iterator[Server]:
    """Every gunicorn and uwsgi, whatever it serves."""
    deploy = project.deploy
    used: set[Path] = set()
    for command in deploy.starting("gunicorn", "uwsgi"):
        asked = server_of_command(command, deploy.configs, project.base)
        used |= {option.path for option in asked.options.values()}
        if not any(name in asked.options for name in _NOT_SERVING):
            yield asked
    for config in deploy.configs:
        if config.path not in used and config.values:
            yield server_of_config(config)


def wsgi_servers(project: Project) -> Iterator[Server]:
    """Those that serve WSGI apps."""
    for asked in all_servers(project):
        if not serves_asgi(project, asked):
            yield asked


def serves_asgi(project: Project, asked: Server) -> bool:
    """Whether the server calls its app as ASGI: by its workers, or for the app is one."""
    worker = str(asked.value("worker_class", ""))
    is_asgi_worker = "uvicorn" in worker.lower() or worker == "asgi"
    return is_asgi_worker or (asked.app is not None and is_asgi(project, asked.app))


def text_at(project: Project, path: Path) -> str:
    """The text of a file; empty where it cannot be read."""
    try:
        return project.text_of(path).text
    except CannotRead:
        return ""


def line_at(project: Project, option: Option) -> str:
    """The text of the line that an option is given in."""
    lines = project.lines(option.path)
    return lines[option.line - 1] if 1 <= option.line <= len(lines) else ""
