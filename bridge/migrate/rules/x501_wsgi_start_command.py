"""A start command of gunicorn or uwsgi.

Both run the app as WSGI: there are no WebSockets, and each request to an async view gets its own
event loop. The fix writes the equivalent command for uvicorn. It keeps address, workers, timeouts,
TLS, trusted proxies and the access log, and lists what has no counterpart (see X503 and X504).
``uvicorn`` serves Django's ``asgi.py``; ``bridge run`` serves any other WSGI app, with the threads
it had. If ``asgi.py`` uses `bridge`, the number of threads is set there. An event stream holds a
thread for each open client (F706, V410), so a project with one gets at least 40; and as uvicorn
waits for open streams at shutdown without a limit, its command gets a limit of 30 s. The required
package is added to the requirements, next to the old one. A TCP socket that systemd passes on gets
``NoDelay=yes``: uvicorn leaves Nagle's algorithm on for a socket that it inherits, which delays
small responses by 40 ms on a connection that is kept alive.

The fix is unsafe: the server is a different one, and has to be tested. It is not offered where the
new command cannot be written in the same place, because of quotes inside quotes, and for a command
that gets options from ``GUNICORN_CMD_ARGS``.

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

from bridge.migrate.capacity import threads_for_streams
from bridge.migrate.deploy.records import GUNICORN_CMD_ARGS, StartCommand
from bridge.migrate.deploy.server import Server
from bridge.migrate.event_streams import STREAM_GRACE_S, event_streams
from bridge.migrate.findings import Edit, Finding, Fix, Severity, Source
from bridge.migrate.requirements import OWN_PACKAGE, add_requirement, own_requirement
from bridge.migrate.rule import Rule
from bridge.migrate.serving import CommandLine, bridge_command, uvicorn_command
from bridge.migrate.web_app import AsgiApp, asgi_app_for
from bridge.migrate.wsgi_servers import text_at, wsgi_servers

if TYPE_CHECKING:
    from bridge.migrate.project import Project

_NO_DELAY = "NoDelay=yes"
_LISTENS_ON_TCP = re.compile(r"^ListenStream[ \t]*=[ \t]*(?![/@\s])[^\n]*\n", re.MULTILINE)
_TYPE_NOTIFY = re.compile(r"^Type[ \t]*=[ \t]*notify(-reload)?[ \t]*$", re.MULTILINE)


@dataclass(frozen=True)
class _Replacement:
    """The command that replaces the old one."""

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
        for server in wsgi_servers(project):
            if server.command is not None:
                yield self._command_finding(project, server, server.command)
            elif server.program == "uwsgi":
                yield self._config_finding(project, server)

    def _command_finding(self, project: Project, server: Server, command: StartCommand) -> Finding:
        new = _replacement(project, server)
        fix = None
        if new is not None and not new.line.blocked:
            fix = _fix(project, server, command, new)
        return self.at_place(
            project,
            command,
            _message(server, new),
            _help(server, new),
            fix=fix,
        )

    def _config_finding(self, project: Project, server: Server) -> Finding:
        first = next(iter(server.options.values()))
        new = _replacement(project, server)
        return self.at_place(
            project,
            first,
            _message(server, new),
            _help(server, new),
        )


def _replacement(project: Project, server: Server) -> _Replacement | None:
    """The new command; None if its app is not known, or does not exist yet."""
    if server.app is None:
        return None
    path = server.command.path if server.command else next(iter(server.options.values())).path
    text = text_at(project, path)
    threads = threads_for_streams(project, server)
    grace_s = STREAM_GRACE_S if event_streams(project) else None
    if project.is_django:
        set_threads = server.text("threads") if threads is None else str(threads)
        asgi = asgi_app_for(project, server.app, set_threads)
        if asgi is None:
            return None
        line = uvicorn_command(server, asgi.name, text, grace_s=grace_s)
        line = _block_for_variable(project, server, line)
        return _Replacement(line, "uvicorn[standard]", asgi)
    app = server.app if ":" in server.app else f"{server.app}:application"
    line = bridge_command(server, app, text, threads=threads, grace_s=grace_s)
    line = _block_for_variable(project, server, line)
    package = own_requirement(project, f"{OWN_PACKAGE}[cli,uvicorn]")
    return _Replacement(line, package, None)


def _block_for_variable(project: Project, server: Server, line: CommandLine) -> CommandLine:
    """Block the fix if gunicorn gets options from a variable too, which uvicorn does not read."""
    if server.program != "gunicorn" or not project.deploy.more_arguments:
        return line
    files = ", ".join(project.shown(each.path) for each in project.deploy.more_arguments)
    return replace(line, blocked=(*line.blocked, f"options in {GUNICORN_CMD_ARGS} ({files})"))


def _message(server: Server, new: _Replacement | None) -> str:
    message = f"{server.program} runs the app as WSGI, without WebSockets or ASGI"
    if new is not None and new.line.lost:
        message += f"; without a counterpart in uvicorn: {', '.join(new.line.lost)}"
    return message


def _help(server: Server, new: _Replacement | None) -> str:
    if server.app is None:
        return "name the app in the command, so that the ASGI command can be written"
    if new is None:
        return "create asgi.py first (E101), then start it with uvicorn"
    command = " ".join(shlex.quote(word) if "$" not in word else word for word in new.line.argv)
    if new.line.blocked:
        reasons = "; ".join(new.line.blocked)
        return f"change it by hand to: {command} (not fixed automatically: {reasons})"
    before = "apply E107, " if new.asgi and new.asgi.is_djangos_own else ""
    delay = f", with {_NO_DELAY} in its socket unit" if "--fd" in new.line.argv else ""
    return f'{before}pip install "{new.package}" and start with: {command}{delay}'


def _fix(project: Project, server: Server, command: StartCommand, new: _Replacement) -> Fix | None:
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
