"""Options of the old server, and directives around it, that no ASGI server has.

``timeout`` and ``harakiri`` kill a worker whose request takes too long; nothing does so on an event
loop. ``request_timeout_s`` of bridge's adapters ends the request instead, and replaces its thread.
uvicorn has no option for threads: sync code runs in a pool of the framework or of `bridge`.
``preload_app``, the hooks of ``gunicorn.conf.py``, its loggers and statistics exist only in
gunicorn. Code that depends on them has to move. An option without which something stops working is
an error: ``user``, because the new server would run as the one that starts it, or a hook.

Before::

    web: gunicorn mysite.wsgi --threads 8 --timeout 30

After::

    # asgi.py: at most 8 sync requests at once, each 30 s without progress (504, and a new thread).
    # Limit the database's time by statement_timeout as well.
    application = get_asgi_application(threads=8, request_timeout_s=30)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bridge.migrate.findings import Finding, Severity, Source
from bridge.migrate.lost_options import (
    REQUEST_LIMITS,
    grouped,
    is_extra,
    lost_items,
    lost_severity,
    named,
)
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.project import Project


class LimitsLost(Rule):
    """See the module's docstring."""

    code = "X503"
    name = "server-options-lost"
    summary = "options that no ASGI server has: timeouts, hooks, another user"
    native = Severity.WARNING
    bridge = Severity.WARNING
    sources = (Source.DEPLOY,)

    def is_detail(self, finding: Finding, project: Project) -> bool:
        return finding.severity(project.target) is Severity.INFO

    def check_project(self, project: Project) -> Iterator[Finding]:
        items = (
            item
            for item in lost_items(project)
            if not is_extra(item)
            and (item.option.name not in REQUEST_LIMITS or project.is_django)  # Flask: F710
        )
        for group in grouped(items):
            row = group[0].row
            yield self.at_place(
                project,
                group[0].option,
                f"{named(group, 'have')} no counterpart: {row.why}",
                row.instead,
                severity=lost_severity(project, group[0]),
            )
