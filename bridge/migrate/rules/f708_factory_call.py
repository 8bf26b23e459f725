"""A start command that calls a factory: ``gunicorn "shop:create_app()"``.

uvicorn, hypercorn and most others take ``module:attribute`` and no call. ``bridge run`` takes it as
it is. For the others the fix adds a module with the one line; the command stays as it is.

Before::

    web: gunicorn "shop:create_app()"

After::

    # asgi.py
    application = bridge.to_asgi(create_app())
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bridge.migrate.findings import Finding, Fix, NewFile, Severity, Source
from bridge.migrate.rule import Rule
from bridge.migrate.wsgi_servers import wsgi_servers

if TYPE_CHECKING:
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
            yield self.at_line(
                asked.command.path,
                asked.command.line,
                f"{asked.app}: ASGI servers take module:attribute, and do not call a factory",
                "add a module that calls it: application = bridge.to_asgi("
                f"{found['factory']}{found['arguments']}); or use bridge run, which takes the call",
                line_text=project.lines(asked.command.path)[asked.command.line - 1],
                fix=_fix(project, found),
            )


def _is_made(project: Project, found: re.Match[str]) -> bool:
    """Whether a module calls the factory for an ASGI server already."""
    call = found["factory"] + found["arguments"]
    return any("to_asgi" in module.text for module in project.containing(call))


def _fix(project: Project, found: re.Match[str]) -> Fix | None:
    path = project.base / "asgi.py"
    if project.exists(path) or project.module("asgi") is not None:
        return None
    call = found["factory"] + found["arguments"]
    text = (
        f'"""The app for ASGI servers: uvicorn asgi:application"""\n\n'
        f"from bridge import to_asgi\n"
        f"from {found['module']} import {found['factory']}\n\n"
        f"application = to_asgi({call})\n"
    )
    return Fix("Add asgi.py, which calls it", (NewFile(path, text),), safe=True)
