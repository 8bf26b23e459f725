"""A middleware of an installed package that is sync-only.

Under Django's own ASGI handler each request holds a thread while the middleware and everything
inside of it runs, as M204 describes for the project's own middleware. This one was probed in the
running project. Its code belongs to the package: a newer release may be async-capable, or the
package may have another middleware for ASGI.

With `bridge` a sync view needs one thread, as under WSGI. An async view holds one, too, until the
middleware has returned its response; from then on a stream of it takes none.

Before::

    MIDDLEWARE = ["whitenoise.middleware.WhiteNoiseMiddleware", ...]  # sync-only

After::

    # no change needed with bridge: sync views run where sync middleware runs, and the event loop
    # sends what an async generator yields
    from bridge.contrib.django import get_asgi_application
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bridge.migrate.advice import has_async_code
from bridge.migrate.findings import Finding, Severity, Source
from bridge.migrate.middleware import entries
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.project import Project


class SyncOnlyThirdParty(Rule):
    """See the module's docstring."""

    code = "M205"
    name = "middleware-sync-only-third-party"
    summary = "a sync-only middleware of a package holds a thread for the whole request"
    native = Severity.WARNING
    bridge = None
    sources = (Source.RUNTIME,)

    def is_detail(self, finding: Finding, project: Project) -> bool:
        return not has_async_code(project)

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
                    "under Django's ASGI handler each request holds a thread while "
                    f"{fact.path} and everything inside of it runs: it is sync-only",
                    "look for a newer release of its package, or use bridge, which runs sync "
                    "requests as WSGI does and streams async generators without a thread",
                    source=Source.RUNTIME,
                )
