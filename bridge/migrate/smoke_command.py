"""The command that a smoke test starts: the ASGI server of the deploy files, on another address.

Input: a project. Output: a :class:`ServerCommand`, with the environment that the deploy file sets.
This is all that a smoke test knows of the deployment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bridge.errors import MigrationError
from bridge.migrate.deploy.environment import environment_of, variables_for
from bridge.migrate.deploy.expansion import expand
from bridge.migrate.deploy.records import StartCommand
from bridge.migrate.project import Project
from bridge.migrate.wsgi_servers import all_servers, serves_asgi

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
    """

    program: str
    arguments: tuple[str, ...]
    app: str
    environment: Mapping[str, str]
    place: str

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
    """The command that starts the project's ASGI server.

    :raises MigrationError: no deploy file has one, or it names no app.
    """
    command = next(_commands(project), None)
    if command is None:
        raise MigrationError(
            "--smoke: no deploy file starts an ASGI server (uvicorn, bridge run, hypercorn, "
            "granian, daphne, gunicorn with ASGI workers). `bridge migrate plan` shows the "
            "command, and `bridge migrate fix --write --unsafe-fixes` writes it where it can"
        )
    place = f"{project.shown(command.path)}:{command.line}"
    if command.target is None:
        raise MigrationError(f"--smoke: {place} names no app: {' '.join(command.argv)}")
    return ServerCommand(
        command.program, command.argv[1:], command.target, _environment(project, command), place
    )


def _commands(project: Project) -> Iterator[StartCommand]:
    yield from project.deploy.starting(*_SERVERS)
    for server in all_servers(project):
        if server.program == "gunicorn" and server.command and serves_asgi(project, server):
            yield server.command


def _environment(project: Project, command: StartCommand) -> dict[str, str]:
    """What the deploy files set for a command; for a Procfile also ``.env``, as its tools do."""
    parts = project.deploy.parts
    found = variables_for(parts, command)
    if command.kind == "procfile":
        loaded = [each for each in parts if each.path == command.path.with_name(".env")]
        found = {**found, **environment_of(replace(each, source="") for each in loaded)}
        found.update((each.name, each.default) for each in command.variables)
    return {name: value for name, value in found.items() if value is not None}


def _without(arguments: tuple[str, ...], options: tuple[str, ...]) -> Iterator[str]:
    """The arguments without these options and their values."""
    rest = iter(arguments)
    for word in rest:
        if word in options:
            next(rest, None)
        elif word.partition("=")[0] not in options:
            yield word
