"""The command that a smoke test starts: the ASGI server of the deploy files, on another address.

Input: a project. Output: a :class:`ServerCommand`, with the environment and the user that the
deploy files set. This is all that a smoke test knows of the deployment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bridge.errors import MigrationError
from bridge.migrate.deploy.environment import environment_of, variables_for
from bridge.migrate.deploy.expansion import expand
from bridge.migrate.deploy.records import Option, StartCommand, part_of
from bridge.migrate.project import Project
from bridge.migrate.wsgi_servers import (
    all_servers,
    environment_of_server,
    is_likely,
    serves_asgi,
)

__all__ = ["HOST", "ServerCommand", "server_command"]

HOST = "127.0.0.1"
_SERVERS = ("uvicorn", "bridge", "hypercorn", "granian", "daphne")
_ADDRESS = {
    "uvicorn": (("--host", "--port", "--uds", "--fd"), ("--host", "{host}", "--port", "{port}")),
    "bridge": (("--host", "--port", "--uds"), ("--host", "{host}", "--port", "{port}")),
    "hypercorn": (("--bind", "-b"), ("--bind", "{host}:{port}")),
    "granian": (("--host", "--port", "--uds"), ("--host", "{host}", "--port", "{port}")),
    "daphne": (
        ("--bind", "-b", "--port", "-p", "--unix-socket", "-u", "--fd"),
        ("--bind", "{host}", "--port", "{port}"),
    ),
    "gunicorn": (("--bind", "-b"), ("--bind", "{host}:{port}")),
}
"""The options that set a server's address, and those that set it to host and port."""


@dataclass(frozen=True)
class ServerCommand:
    """A start command.

    :ivar program: ``uvicorn``, ``bridge`` and so on.
    :ivar app: as written: ``mysite.asgi:application``.
    :ivar environment: that the deploy file sets.
    :ivar place: as ``Procfile:1``.
    :ivar user: that the deploy files run it as, with the place; empty if they set none.
    """

    program: str
    arguments: tuple[str, ...]
    app: str
    environment: Mapping[str, str]
    place: str
    user: str = ""

    @property
    def shown(self) -> str:
        """The command as written."""
        return " ".join((self.program, *self.arguments))

    def argv(self, python: Path, port: int) -> list[str]:
        """The command for one interpreter, on another address; variables are expanded."""
        options, address = _ADDRESS[self.program]
        variables = {**os.environ, **self.environment, "PORT": str(port)}
        words = [expand(word, variables) or "" for word in _without(self.arguments, options)]
        own = [each.format(host=HOST, port=port) for each in address]
        return [str(python), "-m", self.program, *words, *own]


def server_command(project: Project) -> ServerCommand:
    """The command that starts the project's ASGI server: that of the default case comes first.

    :raises MigrationError: no deploy file has one, or it names no app.
    """
    servers = sorted(_servers(project), key=lambda server: _rank(project, server.command))
    if not servers:
        raise MigrationError(
            "--smoke: no deploy file starts an ASGI server (uvicorn, bridge run, hypercorn, "
            "granian, daphne, gunicorn with ASGI workers). `bridge migrate plan` shows the "
            "command, and `bridge migrate fix --write --unsafe-fixes` writes it where it can"
        )
    command = servers[0].command
    place = f"{project.shown(command.path)}:{command.line}"
    if command.target is None:
        raise MigrationError(f"--smoke: {place} names no app: {' '.join(command.argv)}")
    user = deployed_user(project, command)
    shown = f"{user.default} ({project.shown(user.path)}:{user.line})" if user is not None else ""
    return ServerCommand(
        command.program,
        command.argv[1:],
        command.target,
        _with_dotenv(project, command, servers[0].environment),
        place,
        shown,
    )


@dataclass(frozen=True)
class _Started:
    command: StartCommand
    environment: Mapping[str, str | None]


def _servers(project: Project) -> Iterator[_Started]:
    parts = project.deploy.parts
    for command in project.deploy.starting(*_SERVERS):
        yield _Started(command, variables_for(parts, command))
    for server in all_servers(project):
        if server.program == "gunicorn" and server.command and serves_asgi(project, server):
            yield _Started(server.command, environment_of_server(project, server))


def _rank(project: Project, command: StartCommand) -> tuple[bool, bool]:
    return (command.applies is not True, not is_likely(project, command.path))


def _with_dotenv(
    project: Project, command: StartCommand, found: Mapping[str, str | None]
) -> dict[str, str]:
    """The environment of a command; for a Procfile also ``.env``, as its tools load it."""
    if command.kind == "procfile":
        beside = command.path.with_name(".env")
        loaded = [each for each in project.deploy.parts if each.path == beside]
        found = {**found, **environment_of(replace(each, source="") for each in loaded)}
        found.update((each.name, each.default) for each in command.variables)
    return {name: value for name, value in found.items() if value is not None}


_USER = frozenset(
    {
        *("User", "user", "USER"),
        *("securityContext.runAsUser", "pod.securityContext.runAsUser"),
    }
)
"""The directives that set the user of a process, in all sources."""


def deployed_user(project: Project, command: StartCommand) -> Option | None:
    """The directive that sets the user of a command: of its own part, else of the image."""
    own = part_of(project.deploy.parts, command)
    used = [part for part in project.deploy.parts if part.applies is not False]
    images = [part for part in reversed(used) if part.source == "dockerfile"]
    in_image = own is not None and own.source in ("compose", "kubernetes", "dockerfile", "shell")
    for part in [*([own] if own is not None else []), *(images if in_image else [])]:
        found = [option for option in part.options if option.name in _USER]
        if found:
            return min(found, key=lambda option: option.name.startswith("pod."))
    return None


def _without(arguments: tuple[str, ...], options: tuple[str, ...]) -> Iterator[str]:
    """The arguments without these options and their values."""
    rest = iter(arguments)
    for word in rest:
        if word in options:
            next(rest, None)
        elif word.partition("=")[0] not in options:
            yield word
