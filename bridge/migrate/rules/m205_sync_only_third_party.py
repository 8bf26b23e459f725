"""A middleware of an installed package that is sync-only, as probed live.

What M204 says of the project's own middleware holds for those of packages. The packages' code is
not the project's to change; a newer release may be async-capable, or the package may have another
middleware for ASGI.

Before::

    MIDDLEWARE = ["whitenoise.middleware.WhiteNoiseMiddleware", ...]  # sync-only

After::

    # nothing to change through bridge: sync views run where sync middleware does
    from bridge.contrib.django import get_asgi_application
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bridge.migrate.findings import Finding, Severity, Source
from bridge.migrate.middleware import entries
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.project import Project


class SyncOnlyThirdParty(Rule):
    """See the module's docstring."""

    code = "M205"
    name = "middleware-sync-only-third-party"
    summary = "an installed middleware that is sync-only holds a thread for the whole request"
    native = Severity.WARNING
    bridge = None
    sources = (Source.RUNTIME,)

    def check_project(self, project: Project) -> Iterator[Finding]:
        if project.facts is None:
            return
        for entry in entries(project):
            fact = entry.fact
            if entry.code or entry.setting is None or fact.error or not fact.is_used:
                continue
            if fact.is_sync_only:
                module, node = entry.setting
                yield self.at(
                    module,
                    node,
                    f"{fact.path} is sync-only: under Django's ASGI handler each request holds a "
                    "thread while it and what is inside of it runs",
                    "look for a newer release of its package, or move through bridge, which runs "
                    "sync requests as under WSGI",
                    source=Source.RUNTIME,
                )
