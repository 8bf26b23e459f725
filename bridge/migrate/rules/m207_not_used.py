"""A middleware that raised ``MiddlewareNotUsed``.

Django removes it from the chain when the server starts. It costs no hand-over, and M201 does not
count it. Other settings, such as those of production, may use it: check with these too.

Before::

    MIDDLEWARE = ["shop.middleware.OnlyInProduction", ...]

After::

    # check again with the settings of production
    # bridge migrate check . --settings shop.settings.production
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bridge.migrate.findings import Finding, Severity, Source
from bridge.migrate.middleware import entries
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.project import Project


class NotUsed(Rule):
    """See the module's docstring."""

    code = "M207"
    name = "middleware-not-used"
    summary = "a middleware that raised MiddlewareNotUsed: its hand-overs do not count"
    native = Severity.INFO
    bridge = Severity.INFO
    sources = (Source.RUNTIME,)

    def is_detail(self, finding: Finding, project: Project) -> bool:
        return True

    def check_project(self, project: Project) -> Iterator[Finding]:
        for entry in entries(project):
            if not entry.fact.is_used and entry.setting is not None:
                module, node = entry.setting
                yield self.at(
                    module,
                    node,
                    f"{entry.fact.path} raised MiddlewareNotUsed with these settings, so its "
                    "hand-overs do not count",
                    "check with the production settings too: --settings",
                    source=Source.RUNTIME,
                )
