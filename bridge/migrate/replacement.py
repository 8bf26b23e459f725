"""The start command that replaces one of a WSGI server.

Input: a project and a server. Output: a :class:`Replacement`: the new command, its capacity, and
why it must not be written. ``plan`` prints it, and the fix of X501 writes it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bridge.migrate.capacity import Capacity, capacity_after, capacity_of
from bridge.migrate.deploy.records import GUNICORN_CMD_ARGS, part_of
from bridge.migrate.deploy.server import Server
from bridge.migrate.destination import row_for
from bridge.migrate.display import LOGIN, SECRET
from bridge.migrate.event_streams import STREAM_GRACE_S, event_streams, streams_holding_threads
from bridge.migrate.inventory import destination_of
from bridge.migrate.project import Project
from bridge.migrate.requirements import OWN_PACKAGE, own_requirement
from bridge.migrate.serving import CommandLine, bridge_command, is_green, uvicorn_command
from bridge.migrate.web_app import AsgiApp, asgi_app_for
from bridge.migrate.wsgi_servers import text_at

__all__ = ["Replacement", "replacement_of"]


@dataclass(frozen=True)
class Replacement:
    """The command that replaces the old one.

    :ivar package: the requirement that it needs.
    :ivar asgi: the app that it serves, if that is Django's.
    """

    line: CommandLine
    package: str
    asgi: AsgiApp | None
    capacity: Capacity

    @property
    def shown(self) -> str:
        """The command in one line, without what may be a password."""
        return " ".join(_shown(word) for word in self.line.argv)


def _shown(word: str) -> str:
    name, _, value = word.partition("=")
    if name.isidentifier() and SECRET.search(name) and value and value[0] != "$":
        return f"{name}=..."
    return LOGIN.sub("...", word) if "$" in word else shlex.quote(LOGIN.sub("...", word))


def replacement_of(project: Project, server: Server) -> Replacement | None:
    """The new command; None if the app is not known."""
    if server.app is None:
        return None
    text = text_at(project, _path_of(server))
    after = capacity_after(project, capacity_of(project, server))
    grace_s = STREAM_GRACE_S if event_streams(project) else None
    accepted = project.accepted
    if project.is_django:
        asgi = asgi_app_for(project, server.app, after.threads)
        if asgi is None:
            return None
        destination = destination_of(project)
        line = uvicorn_command(server, asgi.name, text, destination, accepted, grace_s=grace_s)
        return Replacement(_blocked(project, server, line), "uvicorn[standard]", asgi, after)
    app = server.app if ":" in server.app else f"{server.app}:application"
    threads = _threads_of(project, server, after)
    line = bridge_command(server, app, text, accepted, threads=threads, grace_s=grace_s)
    package = own_requirement(project, f"{OWN_PACKAGE}[cli,uvicorn]")
    return Replacement(_blocked(project, server, line), package, None, after)


def _path_of(server: Server) -> Path:
    if server.command is not None:
        return server.command.path
    return server.config or next(iter(server.options.values())).path


def _threads_of(project: Project, server: Server, after: Capacity) -> int | str | None:
    """The option for threads; None for the default, which replaces green threads."""
    written = server.value("threads")
    if isinstance(written, str) and not written.isdigit():
        return written  # a variable
    is_default = is_green(server) and not streams_holding_threads(project)
    return None if is_default else after.threads


def _blocked(project: Project, server: Server, line: CommandLine) -> CommandLine:
    """The command, with the reasons that are not in the options of the server."""
    blocked = [*line.blocked, *_around(project, server)]
    if server.program == "gunicorn" and project.deploy.more_arguments:
        files = ", ".join(project.shown(each.path) for each in project.deploy.more_arguments)
        blocked.append(f"options in {GUNICORN_CMD_ARGS} ({files})")
    app = server.app or ""
    failure = project.import_failures.get(app if ":" in app else f"{app}:application", "")
    if failure:
        blocked.append(f"{app} cannot be imported: {failure}")
    return replace(line, blocked=tuple(blocked))


def _around(project: Project, server: Server) -> Iterator[str]:
    """The directives around the command without which something stops working."""
    if server.command is None:
        return
    part = part_of(project.deploy.parts, server.command)
    for option in part.options if part is not None else ():
        row = row_for(option, destination_of(project))
        if row.stops and option.shown not in project.accepted:
            yield f"{option.shown}: {row.why}"
