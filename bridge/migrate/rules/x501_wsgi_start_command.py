"""A start command of gunicorn, uwsgi or another WSGI server.

They run the app as WSGI: Django's own handler has no WebSockets there, and each request to an async
view gets its own event loop. The fix writes the equivalent command for uvicorn. It keeps address,
workers, timeouts, TLS, trusted proxies and the access log, and lists what has no counterpart (see
X503 and X504). ``uvicorn`` serves Django's ``asgi.py``; ``bridge run`` serves any other WSGI app,
with the threads it had. If ``asgi.py`` uses `bridge`, the number of threads is set there. An event
stream holds a thread for each open client (F706, V410), so a project with one gets at least 40; and
as uvicorn waits for open streams at shutdown without a limit, its command gets a limit of 30 s. The
required package is added to the requirements, next to the old one. A TCP socket that systemd passes
on gets ``NoDelay=yes``: uvicorn leaves Nagle's algorithm on for a socket that it inherits, which
delays small responses by 40 ms on a connection that is kept alive.

The fix is unsafe: the server is a different one, and has to be tested. It is not offered where the
new command cannot be written in the same place, because of quotes inside quotes, for a command that
gets options from ``GUNICORN_CMD_ARGS``, and where an option has no counterpart without which
something would stop working: a hook, a daemon, another user. ``--accept OPTION`` drops it.

Before::

    web: gunicorn mysite.wsgi --bind 0.0.0.0:$PORT --workers 3 --graceful-timeout 20

After::

    web: uvicorn mysite.asgi:application --host 0.0.0.0 --port $PORT --workers 3 ...
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from bridge.migrate.deploy.records import StartCommand
from bridge.migrate.deploy.server import Server
from bridge.migrate.findings import Edit, Finding, Fix, Severity, Source
from bridge.migrate.replacement import Replacement, replacement_of
from bridge.migrate.requirements import add_requirement
from bridge.migrate.rule import Rule
from bridge.migrate.serving import CommandLine
from bridge.migrate.wsgi_servers import not_started, text_at, wsgi_servers

if TYPE_CHECKING:
    from bridge.migrate.project import Project

_NO_DELAY = "NoDelay=yes"
_LISTENS_ON_TCP = re.compile(r"^ListenStream[ \t]*=[ \t]*(?![/@\s])[^\n]*\n", re.MULTILINE)
_TYPE_NOTIFY = re.compile(r"^Type[ \t]*=[ \t]*notify(-reload)?[ \t]*$", re.MULTILINE)


class WsgiStartCommand(Rule):
    """See the module's docstring."""

    code = "X501"
    name = "wsgi-start-command"
    summary = "the project is started by gunicorn, uwsgi or another server, as WSGI"
    native = Severity.ERROR
    bridge = Severity.ERROR
    sources = (Source.DEPLOY,)
    fix = "unsafe"

    def is_detail(self, finding: Finding, project: Project) -> bool:
        return finding.severity(project.target) is Severity.INFO

    def check_project(self, project: Project) -> Iterator[Finding]:
        for server in wsgi_servers(project):
            if server.command is not None:
                yield self._command_finding(project, server, server.command)
            elif server.program != "gunicorn":
                yield self._config_finding(project, server)

    def _command_finding(self, project: Project, server: Server, command: StartCommand) -> Finding:
        new = replacement_of(project, server)
        fix = None
        if new is not None and not new.line.blocked and not (new.asgi and new.asgi.is_missing):
            fix = _fix(project, server, command, new)
        return self.at_place(
            project,
            command,
            _message(server, new),
            _help(server, new),
            fix=fix,
        )

    def _config_finding(self, project: Project, server: Server) -> Finding:
        names = (name for name in _NAMES_APP if name in server.options)
        name = next(names, None)
        option = server.written[0] if name is None else server.options[name]
        new = replacement_of(project, server)
        is_started = server.config not in not_started(project)
        return self.at_place(
            project,
            option,
            _message(server, new) if is_started else _NOT_STARTED.format(server.program),
            _help(server, new),
            severity=None if is_started else (Severity.INFO, Severity.INFO),
        )


_NAMES_APP = ("WSGIScriptAlias", "module", "wsgi-file", "startup_file")
_NOT_STARTED = "no start command of the project names this configuration of {}, which serves WSGI"


def _message(server: Server, new: Replacement | None) -> str:
    message = f"{server.program} runs the app as WSGI, not as ASGI"
    if new is not None and new.line.lost:
        message += f"; without a counterpart in uvicorn: {', '.join(new.line.lost)}"
    return message


def _help(server: Server, new: Replacement | None) -> str:
    if server.app is None:
        return "name the app in the command, so that the ASGI command can be written"
    if new is None:
        return "write an ASGI application first, then start it with uvicorn"
    command = new.shown
    if new.line.blocked:
        reasons = "; ".join(new.line.blocked)
        return (
            f'pip install "{new.package}" and change it by hand to: {command} (not fixed '
            f"automatically: {reasons}). An option that may be dropped is accepted with --accept"
        )
    before = "apply E107, " if new.asgi and new.asgi.is_djangos_own else ""
    before = "apply E101, which makes asgi.py, " if new.asgi and new.asgi.is_missing else before
    delay = f", with {_NO_DELAY} in its socket unit" if "--fd" in new.line.argv else ""
    return f'{before}pip install "{new.package}" and start with: {command}{delay}'


def _fix(project: Project, server: Server, command: StartCommand, new: Replacement) -> Fix | None:
    edit = command.replace(_argv(server, command, new.line))
    if edit is None:
        return None
    edits: tuple[Edit, ...] = (edit,)
    edits += tuple(_without_notify(project, command))
    if "--fd" in new.line.argv:
        edits += tuple(_with_no_delay(project))
    edits += add_requirement(project, new.package, beside=server.program)
    edits += new.asgi.edits if new.asgi else ()
    return Fix(f"Start {new.line.argv[0]} instead of {server.program}", edits, safe=False)


def _argv(server: Server, command: StartCommand, line: CommandLine) -> tuple[str, ...]:
    """The new command, with its program in the folder of the old one."""
    found = re.match(r"[\"']?([^\s\"']*/)?", command.text)
    folder = (found.group(1) if found else None) or ""
    home = server.text("home") if server.program == "uwsgi" else None
    if home:
        folder = f"{PurePosixPath(home)}/bin/"
    programs = ("uvicorn", "bridge")
    position = next(index for index, word in enumerate(line.argv) if word in programs)
    argv = list(line.argv)
    argv[position] = folder + argv[position]
    return tuple(argv)


def _without_notify(project: Project, command: StartCommand) -> Iterator[Edit]:
    """gunicorn notifies systemd when it is ready; uvicorn does not, so systemd would kill it."""
    if command.kind == "systemd":
        found = _TYPE_NOTIFY.search(text_at(project, command.path))
        if found:
            yield Edit(command.path, found.start(), found.end(), "Type=exec")


def _with_no_delay(project: Project) -> Iterator[Edit]:
    """Accepted connections inherit the option from the socket that systemd opens."""
    for path in project.files:
        if path.suffix == ".socket" and path.is_file():
            text = text_at(project, path)
            listens = _LISTENS_ON_TCP.search(text)
            if listens and not re.search(r"^NoDelay[ \t]*=", text, re.MULTILINE):
                yield Edit(path, listens.end(), listens.end(), f"{_NO_DELAY}\n")
