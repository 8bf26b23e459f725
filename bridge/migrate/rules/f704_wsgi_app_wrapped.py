"""``app.wsgi_app`` wrapped in WSGI middleware, and proxies trusted in two places.

`bridge` runs the app as a whole, including its WSGI middleware. ``ProxyFix`` still works, but it is
no longer the only one that reads forwarded headers: uvicorn itself takes scheme and client address
from ``X-Forwarded-Proto`` and ``X-Forwarded-For`` of the proxies in ``--forwarded-allow-ips``, by
default 127.0.0.1. What ``ProxyFix(x_for=0)`` ignores, uvicorn has already applied.

Before::

    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1)      # uvicorn shop:app

After::

    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1)      # uvicorn shop:app --no-proxy-headers
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from bridge.migrate.findings import Finding, Severity
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

_PROXY_FIX = ("werkzeug.middleware.proxy_fix.ProxyFix", "werkzeug.contrib.fixers.ProxyFix")


class WsgiAppWrapped(Rule):
    """See the module's docstring."""

    code = "F704"
    name = "wsgi-app-wrapped"
    summary = "app.wsgi_app in WSGI middleware; ProxyFix besides uvicorn's own proxy headers"
    native = Severity.WARNING
    bridge = Severity.WARNING
    triggers = ("wsgi_app",)

    def is_detail(self, finding: Finding, project: Project) -> bool:
        return finding.severity(project.target) is Severity.INFO  # bridge runs it unchanged

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        for node in module.nodes(cst.Assign):
            if _is_wsgi_app(node.targets[0].target) and isinstance(node.value, cst.Call):
                yield self._finding(module, node, module.qualified(node.value) or "a call")

    def _finding(self, module: Module, node: cst.Assign, name: str) -> Finding:
        if name in _PROXY_FIX:
            return self.at(
                module,
                node,
                "trusted proxies are configured in two places: ProxyFix and uvicorn both take "
                "scheme and client address from X-Forwarded headers",
                "let only ProxyFix do so: uvicorn --no-proxy-headers, or FORWARDED_ALLOW_IPS= in "
                "the environment of bridge run",
            )
        return self.at(
            module,
            node,
            f"{name} is WSGI middleware: bridge runs it with the app, an ASGI framework cannot",
            "serve the app with bridge, without changes",
            severity=(Severity.WARNING, Severity.INFO),
        )


def _is_wsgi_app(target: cst.BaseAssignTargetExpression) -> bool:
    return isinstance(target, cst.Attribute) and target.attr.value == "wsgi_app"
