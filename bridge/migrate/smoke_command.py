"""The command that a smoke test starts: the ASGI server of the deploy files, on another address.

Input: a project. Output: a :class:`ServerCommand`, with the environment that the deploy file sets.
This is all that a smoke test knows of the deployment.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bridge.errors import MigrationError
from bridge.migrate.deploy.records import StartCommand
from bridge.migrate.project import Project
from bridge.migrate.wsgi_servers import all_servers, serves_asgi, text_at

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
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::?[-=]([^}]*))?\}|(\w+))")
_ASSIGNMENT = re.compile(r"""(?:^|\s)([A-Za-z_]\w*)=("[^"]*"|'[^']*'|\S*)""")
_DOCKER_ENV = re.compile(r"^ENV[ \t]+((?:.*\\\r?\n)*.*)$", re.MULTILINE | re.IGNORECASE)
_SYSTEMD_ENV = re.compile(r"^Environment[ \t]*=[ \t]*(.*)$", re.MULTILINE)


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
        words = [_expanded(word, variables) for word in _without(self.arguments, options)]
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
            "granian, daphne, gunicorn with ASGI workers). `bridge migrate fix --write "
            "--unsafe-fixes` writes the command"
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
    """What the file of a command sets: for all of it, and on the line before the command."""
    text = text_at(project, command.path)
    lines: list[str] = []
    if command.kind == "dockerfile":
        lines = [re.sub(r"\\\r?\n", " ", each) for each in _DOCKER_ENV.findall(text)]
    elif command.kind == "systemd":
        lines = _SYSTEMD_ENV.findall(text)
    elif command.kind == "procfile":
        lines = text_at(project, command.path.with_name(".env")).splitlines()
    found: dict[str, str] = {}
    for line in lines:
        found.update(_assignments(line))
    before = text[text.rfind("\n", 0, command.start) + 1 : command.start]
    return {**found, **dict(_assigned(before))}


def _assignments(line: str) -> Iterator[tuple[str, str]]:
    """``A=1 "B=2"``, or ``A 1`` as in a Dockerfile."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return
    if words and "=" not in words[0] and len(words) > 1:
        yield words[0], " ".join(words[1:])
        return
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            yield name, value


def _assigned(text: str) -> Iterator[tuple[str, str]]:
    """The variables before a command: ``env A=1 B=2 uvicorn``."""
    for name, value in _ASSIGNMENT.findall(text):
        yield name, value.strip("\"'")


def _expanded(word: str, variables: Mapping[str, str]) -> str:
    """A word as a shell expands it; an unknown variable is empty."""
    return _VARIABLE.sub(lambda found: variables.get(found[1] or found[3]) or found[2] or "", word)


def _without(arguments: tuple[str, ...], options: tuple[str, ...]) -> Iterator[str]:
    """The arguments without these options and their values."""
    rest = iter(arguments)
    for word in rest:
        if word in options:
            next(rest, None)
        elif word.partition("=")[0] not in options:
            yield word
