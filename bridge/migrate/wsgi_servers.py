"""The gunicorn and uwsgi servers of a project, and which of them serve a WSGI app.

Input: a project. Output: a :class:`~bridge.migrate.deploy.server.Server` for each start command,
and for each configuration that no command names.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.migrate.deploy.server import Server, server_of_command, server_of_config
from bridge.migrate.text import CannotRead
from bridge.migrate.web_app import is_asgi

if TYPE_CHECKING:
    from bridge.migrate.project import Project

__all__ = ["all_servers", "serves_asgi", "text_at", "wsgi_servers"]

_NOT_SERVING = ("check_config", "print_config", "version", "help", "show-config")


def all_servers(project: Project) -> Iterator[Server]:
    """Every gunicorn and uwsgi, whether it serves WSGI or ASGI."""
    deploy = project.deploy
    used: set[Path] = set()
    for command in deploy.starting("gunicorn", "uwsgi"):
        server = server_of_command(command, deploy, project.base)
        used |= {option.path for option in server.options.values()}
        if not any(name in server.options for name in _NOT_SERVING):
            yield server
    for config in deploy.configs:
        if config.path not in used and config.values:
            yield server_of_config(config, deploy)


def wsgi_servers(project: Project) -> Iterator[Server]:
    """The servers of WSGI apps; not gunicorn with uvicorn's or its own ``asgi`` workers."""
    for server in all_servers(project):
        if not serves_asgi(project, server):
            yield server


def serves_asgi(project: Project, server: Server) -> bool:
    """Whether the server runs its app as ASGI: its workers are for ASGI, or the app is one."""
    worker = str(server.value("worker_class", ""))
    is_asgi_worker = "uvicorn" in worker.lower() or worker == "asgi"
    return is_asgi_worker or (server.app is not None and is_asgi(project, server.app))


def text_at(project: Project, path: Path) -> str:
    """The text of a file; empty if it cannot be read."""
    try:
        return project.text_of(path).text
    except CannotRead:
        return ""
