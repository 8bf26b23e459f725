"""More database connections than the database takes, in the worst case.

Django's own ASGI handler gives each request in flight a thread, and each thread has its own
connection: their number has no bound but the server's ``--limit-concurrency``. Through `bridge` it
is processes x threads. A pool of Django's has ``max_size`` in each process, and who comes late
waits for one.

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

_HELP = "limit requests (uvicorn --limit-concurrency), use a pool, or put pgbouncer in between"


class WorstCase(Rule):
    """See the module's docstring."""

    code = "D302"
    name = "too-many-connections"
    summary = "database connections in the worst case, against the server's limit"
    native = Severity.WARNING
    bridge = Severity.INFO
    sources = (Source.RUNTIME, Source.SOURCES, Source.DEPLOY)

    def check_project(self, project: Project) -> Iterator[Finding]:
        for database in databases(project):
            if database.limit is not None:
                yield from self._check(project, database, database.limit)

    def _check(self, project: Project, database: Database, limit: int) -> Iterator[Finding]:
        capacity = capacity_after(capacity_now(project))
        number, why = database.connections(project.target, capacity)
        if number is None:
            number, why = _limited(project) or (None, why)
        if number is not None and number <= limit:
            return
        setting = project.settings.get("DATABASES")
        message = (
            f"{database.alias!r} may be asked for more connections than it takes: {why}, and it "
            f"takes {limit} ({database.limit_why})"
        )
        is_bounded = number is not None or project.target is Target.BRIDGE
        severity = (Severity.WARNING, Severity.INFO if is_bounded else None)
        if setting is not None and setting.place is not None:
            source = source_of(project)
            yield self.at(*setting.place, message, _HELP, severity=severity, source=source)
        else:
            yield self.at_line(settings_path(project), 0, message, _HELP, severity=severity)


def _limited(project: Project) -> tuple[int, str] | None:
    """The bound that the project's own uvicorn command has, if any."""
    if project.target is not Target.NATIVE:
        return None
    for command in project.deploy.starting("uvicorn"):
        most = command.number("--limit-concurrency")
        if most is not None:
            processes = command.number("--workers") or 1
            number = processes * most
            return number, f"{processes} processes x --limit-concurrency {most} = {number}"
    return None
