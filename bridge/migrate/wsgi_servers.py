"""The WSGI servers of a project, and which of them serve a WSGI app.

Input: a project. Output: a :class:`~bridge.migrate.deploy.server.Server` for each start command,
and for each configuration that no command names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.migrate.deploy.environment import environment_of, variables_for
from bridge.migrate.deploy.server import Server, server_of_command, server_of_config
from bridge.migrate.text import CannotRead

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

__all__ = [
    "all_servers",
    "environment_of_server",
    "is_asgi",
    "is_likely",
    "module_of_app",
    "not_started",
    "ordered_servers",
    "served_apps",
    "served_environment",
    "served_server",
    "serves_asgi",
    "text_at",
    "wsgi_servers",
]

_PROGRAMS = ("gunicorn", "uwsgi", "waitress-serve", "mod_wsgi-express")
_NOT_SERVING = ("check_config", "print_config", "version", "help", "show-config")


def all_servers(project: Project) -> Iterator[Server]:
    """Every gunicorn, uwsgi and other WSGI server, whether it serves WSGI or ASGI."""
    deploy = project.deploy
    used: set[Path] = set()
    for command in deploy.starting(*_PROGRAMS):
        server = server_of_command(command, deploy, project.base)
        used |= {server.config} if server.config is not None else set()
        if not any(name in server.options for name in _NOT_SERVING):
            yield server
    for config in deploy.configs:
        if config.path not in used and config.options:
            yield server_of_config(config, deploy)


def not_started(project: Project) -> frozenset[Path]:
    """The configuration files that no start command names, in a project that has start commands.

    They are alternatives, or their command is outside of the project.
    """
    servers = list(all_servers(project))
    if all(server.command is None for server in servers):
        return frozenset()
    return frozenset(each.config for each in servers if each.command is None and each.config)


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


def module_of_app(project: Project, app: str) -> Module | None:
    """The project's module that contains an app; None if the app is from another package."""
    return project.module(app.partition(":")[0])


def is_asgi(project: Project, app: str) -> bool:
    """Whether an app is already an ASGI app, or is wrapped by `bridge`."""
    module = module_of_app(project, app)
    if module is None:
        return app.partition(":")[0].rpartition(".")[2] == "asgi"
    markers = ("get_asgi_application", "to_wsgi(", "ProtocolTypeRouter", "universal(", "Router(")
    return any(each in module.text for each in markers)


def served_environment(project: Project) -> dict[str, str]:
    """The variables that the deployment sets for its server, as far as they are known."""
    server = served_server(project)
    return {} if server is None else environment_of_server(project, server)


def environment_of_server(project: Project, server: Server) -> dict[str, str]:
    """The variables that the deployment sets for a server, as far as they are known."""
    command, parts = server.command, project.deploy.parts
    found = environment_of(parts) if command is None else variables_for(parts, command)
    for name in ("env", "raw_env"):
        values = server.value(name)
        for each in values if isinstance(values, list) else ():
            variable, _, value = each.partition("=")
            found[variable] = value
    return {name: value for name, value in found.items() if value is not None}


def served_server(project: Project) -> Server | None:
    """The server that the plan is about; None if no file starts or configures one."""
    return next(iter(ordered_servers(project)), None)


def served_apps(project: Project) -> list[str]:
    """The apps that the servers name, as ``mysite.wsgi:application``."""
    names = (server.app for server in all_servers(project))
    plain = (name if ":" in name else f"{name}:application" for name in names if name)
    return list(dict.fromkeys(name for name in plain if re.match(r"[A-Za-z_][\w.]*:\w", name)))


_UNLIKELY = ("dev", "local", "debug", "example", "sample", "demo")


def ordered_servers(project: Project) -> list[Server]:
    """The servers, the most likely one first: of the default case, and not for development."""

    def rank(server: Server) -> tuple[bool, bool, bool]:
        is_default = server.command is None or server.command.applies is True
        is_unlikely = not is_likely(project, _path_of(server))
        return (not is_default, is_unlikely, serves_asgi(project, server))

    return sorted(all_servers(project), key=rank)


def is_likely(project: Project, path: Path) -> bool:
    """Whether a file may be of the deployment: its name is not about development or an example."""
    relative = project.relative(path).lower()
    return not any(word in relative for word in _UNLIKELY)


def _path_of(server: Server) -> Path:
    if server.command is not None:
        return server.command.path
    return server.config or next(iter(server.options.values())).path
