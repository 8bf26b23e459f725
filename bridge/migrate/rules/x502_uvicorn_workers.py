"""gunicorn with the workers of the module ``uvicorn.workers``.

uvicorn warns at every start, because it has deprecated the module and will remove it. The package
``uvicorn-worker`` has the same class. The fix uses that name, and adds the package to the
requirements. It is safe if the project lists its requirements (or lists the package already), else
unsafe: without the package gunicorn does not start.

Before::

    web: gunicorn mysite.asgi:application -k uvicorn.workers.UvicornWorker

After::

    web: gunicorn mysite.asgi:application -k uvicorn_worker.UvicornWorker
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bridge.migrate.deploy.records import Option
from bridge.migrate.findings import Edit, Finding, Fix, Severity, Source
from bridge.migrate.requirements import add_requirement, requires
from bridge.migrate.rule import Rule
from bridge.migrate.wsgi_servers import all_servers, text_at

if TYPE_CHECKING:
    from bridge.migrate.project import Project

_OLD, _NEW = "uvicorn.workers.", "uvicorn_worker."
_PACKAGE = "uvicorn-worker"


class UvicornWorkers(Rule):
    """See the module's docstring."""

    code = "X502"
    name = "uvicorn-workers"
    summary = "gunicorn with uvicorn.workers, which is deprecated"
    native = Severity.WARNING
    bridge = Severity.WARNING
    sources = (Source.DEPLOY,)
    fix = "safe"

    def check_project(self, project: Project) -> Iterator[Finding]:
        for server in all_servers(project):
            option = server.options.get("worker_class")
            if option is None or not str(option.value).startswith(_OLD):
                continue
            span = (server.command.start, server.command.end) if server.command else None
            if server.command is None or option.path != server.command.path:
                span = None
            yield self.at_place(
                project,
                option,
                f"uvicorn warns at every start: it has deprecated the module of {option.value}",
                f"pip install {_PACKAGE}, and use {str(option.value).replace(_OLD, _NEW)}",
                fix=_fix(project, option, span),
            )


def _fix(project: Project, option: Option, span: tuple[int, int] | None) -> Fix | None:
    text = text_at(project, option.path)
    start, end = span or (0, len(text))
    at = text.find(_OLD, start, end)
    if at < 0:
        return None
    requirement = add_requirement(project, _PACKAGE, beside="gunicorn")
    edit = Edit(option.path, at, at + len(_OLD), _NEW)
    is_safe = bool(requirement) or requires(project, _PACKAGE)
    return Fix(f"Use the workers of {_PACKAGE}", (edit, *requirement), safe=is_safe)
