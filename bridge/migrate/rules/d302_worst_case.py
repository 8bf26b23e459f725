"""More database connections in the worst case than the database allows.

Django's own ASGI handler runs each request in flight on its own thread, and each thread has its own
connection, so nothing limits their number but the server's ``--limit-concurrency``. With `bridge`
the number is processes x threads. A connection pool of Django opens up to ``max_size`` connections
in each process, and further requests wait for one.

Before::

    web: uvicorn mysite.asgi:application --workers 4

After::

    web: uvicorn mysite.asgi:application --workers 4 --limit-concurrency 20
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bridge.migrate.capacity import Database, capacity_after, capacity_now, databases
from bridge.migrate.database import settings_path, source_of
from bridge.migrate.findings import Finding, Severity, Source, Target
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.project import Project

_HELP = (
    "limit concurrent requests (uvicorn --limit-concurrency), use a connection pool, or put "
    "pgbouncer in front of the database"
)


class WorstCase(Rule):
    """See the module's docstring."""

    code = "D302"
    name = "too-many-connections"
    summary = "more database connections in the worst case than the database allows"
    native = Severity.WARNING
    bridge = Severity.INFO
    sources = (Source.RUNTIME, Source.SOURCES, Source.DEPLOY)

    def check_project(self, project: Project) -> Iterator[Finding]:
        for database in databases(project):
            if database.limit is not None:
                yield from self._check(project, database, database.limit)

    def _check(self, project: Project, database: Database, limit: int) -> Iterator[Finding]:
        capacity = capacity_after(project, capacity_now(project))
        number, why = database.connections(project.target, capacity)
        if number is None:
            number, why = _limit_of_command(project) or (None, why)
        if number is not None and number <= limit:
            return
        setting = project.settings.get("DATABASES")
        message = (
            f"{database.alias!r} may run out of connections: the worst case is {why}; the database "
            f"allows {limit} ({database.limit_why})"
        )
        is_bounded = number is not None or project.target is Target.BRIDGE
        severity = (Severity.WARNING, Severity.INFO if is_bounded else None)
        if setting is not None and setting.place is not None:
            source = source_of(project)
            yield self.at(*setting.place, message, _HELP, severity=severity, source=source)
        else:
            yield self.at_line(settings_path(project), 0, message, _HELP, severity=severity)


def _limit_of_command(project: Project) -> tuple[int, str] | None:
    """The limit of the project's uvicorn command, with the arithmetic; None without one."""
    if project.target is not Target.NATIVE:
        return None
    for command in project.deploy.starting("uvicorn"):
        limit = command.number("--limit-concurrency")
        if limit is not None:
            processes = command.number("--workers") or 1
            number = processes * limit
            return number, f"{processes} processes x --limit-concurrency {limit} = {number}"
    return None
