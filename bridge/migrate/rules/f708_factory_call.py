"""A start command that calls a factory: ``gunicorn "shop:create_app()"``.

uvicorn, hypercorn and most others take ``module:attribute`` and no call. ``bridge run`` takes it as
it is. For the others the fix adds a module with the one line, in the folder that the command says
(``--chdir``, ``--pythonpath``); the command stays as it is. Arguments with a ``$`` in them are
known to the shell alone: then there is no fix.

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

from bridge.migrate.findings import Finding, Fix, NewFile, Severity, Source
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
    summary = "the start command calls a factory, which uvicorn cannot"
    native = Severity.WARNING
    bridge = Severity.WARNING
    sources = (Source.DEPLOY,)
    fix = "safe"

    def check_project(self, project: Project) -> Iterator[Finding]:
        for asked in wsgi_servers(project):
            found = _CALL.fullmatch(asked.app or "")
            if found is None or asked.command is None or _is_made(project, found):
                continue
            yield self.at_place(
                project,
                asked.command,
                f"{asked.app}: ASGI servers take module:attribute, and do not call a factory",
                "add a module that calls it: application = bridge.to_asgi("
                f"{found['factory']}{found['arguments']}); or use bridge run, which takes the call",
                fix=_fix(project, asked, found),
            )


def _is_made(project: Project, found: re.Match[str]) -> bool:
    """Whether a module calls the factory for an ASGI server already."""
    call = found["factory"] + found["arguments"]
    return any("to_asgi" in module.text for module in project.containing(call))


def _fix(project: Project, asked: Server, found: re.Match[str]) -> Fix | None:
    folder = _folder(project, asked, found["module"])
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
    return Fix(f"Add {project.relative(path)}, which calls it", (NewFile(path, text),), safe=True)


def _folder(project: Project, asked: Server, module: str) -> Path | None:
    """The folder that the app is imported from; None where that is not in the project."""
    named = [asked.value(name) for name in ("chdir", "pythonpath") if name in asked.options]
    if not named:
        return project.base
    if len(named) > 1 or not isinstance(named[0], str) or Path(named[0]).is_absolute():
        return None
    folder = project.base / named[0]
    file = folder.joinpath(*module.split("."))
    files = (file.with_suffix(".py"), file / "__init__.py")
    return folder if any(project.module_at(each) is not None for each in files) else None
