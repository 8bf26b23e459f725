"""A start command that calls a factory: ``gunicorn "shop:create_app()"``.

uvicorn, hypercorn and most other ASGI servers cannot load the app from such a command: they take
``module:attribute``, not a call. ``bridge run`` takes it unchanged. For the other servers the fix
adds a module that makes the call, in the folder that the command names (``--chdir``,
``--pythonpath``); it does not change the command. Only the shell knows the value of arguments that
contain a ``$``: there is no fix for these.

Before::

    web: gunicorn "shop:create_app()"

After::

    # asgi.py
    application = bridge.to_asgi(create_app())
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.migrate.findings import Finding, Fix, NewFile, Severity, Source, Target
from bridge.migrate.rule import Rule
from bridge.migrate.wsgi_servers import wsgi_servers

if TYPE_CHECKING:
    from bridge.migrate.deploy.server import Server
    from bridge.migrate.project import Project

_CALL = re.compile(r"(?P<module>[\w.]+):(?P<factory>[A-Za-z_]\w*)(?P<arguments>\(.*\))")


class FactoryCall(Rule):
    """See the module's docstring."""

    code = "F708"
    name = "factory-call"
    summary = "the start command calls a factory, which uvicorn cannot do"
    native = Severity.WARNING
    bridge = Severity.WARNING
    sources = (Source.DEPLOY,)
    fix = "safe"

    def is_detail(self, finding: Finding, project: Project) -> bool:
        return project.target is Target.BRIDGE and not project.is_django  # bridge run takes it

    def check_project(self, project: Project) -> Iterator[Finding]:
        for server in wsgi_servers(project):
            found = _CALL.fullmatch(server.app or "")
            if found is None or server.command is None or _has_asgi_module(project, found):
                continue
            yield self.at_place(
                project,
                server.command,
                f"most ASGI servers cannot load {server.app}: they take module:attribute, and do "
                "not call a factory",
                "add a module that calls it: application = bridge.to_asgi("
                f"{found['factory']}{found['arguments']}); or use bridge run, which takes the call",
                fix=_fix(project, server, found),
            )


def _has_asgi_module(project: Project, found: re.Match[str]) -> bool:
    """Whether a module of the project already calls the factory for an ASGI server."""
    call = found["factory"] + found["arguments"]
    return any("to_asgi" in module.text for module in project.containing(call))


def _fix(project: Project, server: Server, found: re.Match[str]) -> Fix | None:
    folder = _folder(project, server, found["module"])
    call = found["factory"] + found["arguments"]
    if folder is None or "$" in call:
        return None
    path = folder / "asgi.py"
    if project.exists(path) or project.module("asgi") is not None:
        return None
    where = "" if folder == project.base else f"--app-dir {shlex.quote(project.relative(folder))} "
    text = (
        f'"""The app for ASGI servers: uvicorn {where}asgi:application"""\n\n'
        f"from bridge import to_asgi\n"
        f"from {found['module']} import {found['factory']}\n\n"
        f"application = to_asgi({call})\n"
    )
    return Fix(
        f"Add {project.shown(path)}, which calls the factory", (NewFile(path, text),), safe=True
    )


def _folder(project: Project, server: Server, module: str) -> Path | None:
    """The folder that the app is imported from; None where it is not in the project."""
    named = [server.value(name) for name in ("chdir", "pythonpath") if name in server.options]
    if not named:
        return project.base
    if len(named) > 1 or not isinstance(named[0], str) or Path(named[0]).is_absolute():
        return None
    folder = project.base / named[0]
    file = folder.joinpath(*module.split("."))
    files = (file.with_suffix(".py"), file / "__init__.py")
    return folder if any(project.module_at(each) is not None for each in files) else None
