"""``wsgi.py`` wraps the application in WSGI middleware.

Under Django's own ASGI handler the middleware no longer runs, and no error reports it: WSGI
middleware cannot wrap an ASGI application. `bridge.to_asgi` runs the wrapped application unchanged.

Before::

    application = ProxyFix(get_wsgi_application(), x_for=1)

After::

    # asgi.py
    import bridge
    from mysite.wsgi import application as wsgi_application

    application = bridge.to_asgi(wsgi_application)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from bridge.migrate.entry_points import statement_of, wrapping_of
from bridge.migrate.findings import Finding, Severity
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project


class WsgiMiddleware(Rule):
    """See the module's docstring."""

    code = "E104"
    name = "wsgi-middleware"
    summary = "wsgi.py wraps the application in WSGI middleware, which ASGI does not run"
    native = Severity.ERROR
    bridge = Severity.INFO
    triggers = ("get_wsgi_application",)

    def is_detail(self, finding: Finding, project: Project) -> bool:
        return finding.native is Severity.INFO

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        for node in wrapping_of(module):
            text = " ".join(module.source(statement_of(module, node)).split())
            yield self.at(
                module,
                node,
                f"Django's own ASGI handler does not run this WSGI middleware: {text[:60]}",
                "use an ASGI equivalent, or run the wrapped application with bridge.to_asgi",
                severity=_FOR_OLD_RELEASES if _is_for_old_releases(module, node) else None,
            )


_FOR_OLD_RELEASES = (Severity.INFO, Severity.INFO)


def _is_for_old_releases(module: Module, node: cst.CSTNode) -> bool:
    """Whether it is under a condition that compares a version: ``if whitenoise_version < (3, 0)``.

    Such code is kept for releases that are older than any that run under ASGI.
    """
    return any(
        isinstance(each, cst.If) and "version" in module.source(each.test).lower()
        for each in module.ancestors(node)
    )
