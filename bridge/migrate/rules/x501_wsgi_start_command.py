"""A start command of gunicorn or uwsgi.

Both call the app as WSGI: there are no WebSockets, and an async view gets an event loop of its own
for each request. The fix writes the command that does the same on uvicorn: address, workers,
timeouts, TLS, trusted proxies and the access log are carried over, what has no counterpart is named
(see X503 and X504). Django's ``asgi.py`` is served by ``uvicorn``; any other WSGI app by
``bridge run``, with the threads it had. Where ``asgi.py`` is `bridge`'s, the number of threads goes
there. The package that is needed is put on the list next to the old one. Unsafe: the server is
another one, and has to be tried. A command that cannot be written where the old one stands, for
quotes inside of quotes, is left, and so is one that gets options from ``GUNICORN_CMD_ARGS``.

Before::

    web: gunicorn mysite.wsgi --bind 0.0.0.0:$PORT --workers 3 --graceful-timeout 20

After::

    web: uvicorn mysite.asgi:application --host 0.0.0.0 --port $PORT --workers 3 ...
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from bridge.migrate.deploy.records import GUNICORN_CMD_ARGS, StartCommand
from bridge.migrate.deploy.server import Server
from bridge.migrate.findings import Edit, Finding, Fix, Severity, Source
from bridge.migrate.requirements import add_requirement
from bridge.migrate.rule import Rule
from bridge.migrate.serving import CommandLine, bridge_command, uvicorn_command
from bridge.migrate.web_app import AsgiApp, asgi_app_for
from bridge.migrate.wsgi_servers import text_at, wsgi_servers

if TYPE_CHECKING:
    from bridge.migrate.project import Project

_TYPE_NOTIFY = re.compile(r"^Type[ \t]*=[ \t]*notify(-reload)?[ \t]*$", re.MULTILINE)


@dataclass(frozen=True)
class _Instead:
    """What to start instead."""

    line: CommandLine
    package: str
    asgi: AsgiApp | None


class WsgiStartCommand(Rule):
    """See the module's docstring."""

    code = "X501"
    name = "wsgi-start-command"
    summary = "the project is started by gunicorn or uwsgi, as WSGI"
    native = Severity.ERROR
    bridge = Severity.ERROR
    sources = (Source.DEPLOY,)
    fix = "unsafe"

    def check_project(self, project: Project) -> Iterator[Finding]:
        for asked in wsgi_servers(project):
            if asked.command is not None:
                yield self._of_command(project, asked, asked.command)
            elif asked.program == "uwsgi":
                yield self._of_config(project, asked)

    def _of_command(self, project: Project, asked: Server, command: StartCommand) -> Finding:
        instead = _instead(project, asked)
        fix = None
        if instead is not None and not instead.line.blocked:
            fix = _fix(project, asked, command, instead)
        return self.at_place(
            project,
            command,
            _message(asked, instead),
            _help(asked, instead),
            fix=fix,
        )

    def _of_config(self, project: Project, asked: Server) -> Finding:
        first = next(iter(asked.options.values()))
        instead = _instead(project, asked)
        return self.at_place(
            project,
            first,
            _message(asked, instead),
            _help(asked, instead),
        )


def _instead(project: Project, asked: Server) -> _Instead | None:
    """The command to start instead; None where its app is not known, or not there yet."""
    if asked.app is None:
        return None
    path = asked.command.path if asked.command else next(iter(asked.options.values())).path
    text = text_at(project, path)
    if project.is_django:
        asgi = asgi_app_for(project, asked.app, asked.text("threads"))
        if asgi is None:
            return None
        line = _with_all_told(project, asked, uvicorn_command(asked, asgi.name, text))
        return _Instead(line, "uvicorn[standard]", asgi)
    app = asked.app if ":" in asked.app else f"{asked.app}:application"
    line = _with_all_told(project, asked, bridge_command(asked, app, text))
    return _Instead(line, "wsgi-asgi-bridge[cli,uvicorn]", None)


def _with_all_told(project: Project, asked: Server, line: CommandLine) -> CommandLine:
    """Blocked where gunicorn gets options from a variable as well, which uvicorn does not read."""
    if asked.program != "gunicorn" or not project.deploy.more_arguments:
        return line
    files = ", ".join(project.relative(path) for path in project.deploy.more_arguments)
    return replace(line, blocked=(*line.blocked, f"options in {GUNICORN_CMD_ARGS} ({files})"))


def _message(asked: Server, instead: _Instead | None) -> str:
    message = f"{asked.program} calls the app as WSGI: no WebSockets, and no ASGI"
    if instead is not None and instead.line.lost:
        message += f"; without counterpart on uvicorn: {', '.join(instead.line.lost)}"
    return message


def _help(asked: Server, instead: _Instead | None) -> str:
    if asked.app is None:
        return "name the app in the command, so that the ASGI command can be written"
    if instead is None:
        return "make asgi.py first (E101), then start it with uvicorn"
    command = " ".join(shlex.quote(word) if "$" not in word else word for word in instead.line.argv)
    if instead.line.blocked:
        return f"start with {command} -- by hand, for {'; '.join(instead.line.blocked)}"
    first = "apply E107, " if instead.asgi and instead.asgi.is_djangos_own else ""
    return f'{first}pip install "{instead.package}" and start with: {command}'


def _fix(project: Project, asked: Server, command: StartCommand, instead: _Instead) -> Fix | None:
    edit = command.replace(_argv(asked, command, instead.line))
    if edit is None:
        return None
    edits: tuple[Edit, ...] = (edit,)
    edits += tuple(_without_notify(project, command))
    edits += add_requirement(project, instead.package, beside=asked.program)
    edits += instead.asgi.edits if instead.asgi else ()
    return Fix(f"Start {instead.line.argv[0]} instead of {asked.program}", edits, safe=False)


def _argv(asked: Server, command: StartCommand, line: CommandLine) -> tuple[str, ...]:
    """The command with its program in the folder that the old one was in."""
    found = re.match(r"[\"']?([^\s\"']*/)?", command.text)
    folder = (found.group(1) if found else None) or ""
    home = asked.text("home") if asked.program == "uwsgi" else None
    if home:
        folder = f"{PurePosixPath(home)}/bin/"
    programs = ("uvicorn", "bridge")
    position = next(index for index, word in enumerate(line.argv) if word in programs)
    words = list(line.argv)
    words[position] = folder + words[position]
    return tuple(words)


def _without_notify(project: Project, command: StartCommand) -> Iterator[Edit]:
    """gunicorn tells systemd when it is ready; uvicorn does not, and would be killed for it."""
    if command.kind == "systemd":
        found = _TYPE_NOTIFY.search(text_at(project, command.path))
        if found:
            yield Edit(command.path, found.start(), found.end(), "Type=exec")
