"""``app.wsgi_app`` in WSGI middleware, and proxies trusted in two places.

WSGI middleware goes along: `bridge` runs the app as a whole, middleware and all. ``ProxyFix`` does
too, but it is not the only one any more: uvicorn itself takes scheme and client address from
``X-Forwarded-Proto`` and ``X-Forwarded-For`` of the proxies in ``--forwarded-allow-ips``, 127.0.0.1
if none is given. What ``ProxyFix(x_for=0)`` refuses to believe, uvicorn has believed by then.

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
    summary = "app.wsgi_app in WSGI middleware; ProxyFix next to uvicorn's own proxy headers"
    native = Severity.WARNING
    bridge = Severity.WARNING
    triggers = ("wsgi_app",)

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        for node in module.nodes(cst.Assign):
            if _is_wsgi_app(node.targets[0].target) and isinstance(node.value, cst.Call):
                yield self._of(module, node, module.qualified(node.value) or "a call")

    def _of(self, module: Module, node: cst.Assign, name: str) -> Finding:
        if name in _PROXY_FIX:
            return self.at(
                module,
                node,
                "ProxyFix and uvicorn both take scheme and client address from X-Forwarded "
                "headers: which proxies are trusted is said in two places",
                "leave it to ProxyFix: uvicorn --no-proxy-headers, or FORWARDED_ALLOW_IPS= in the "
                "environment of bridge run",
            )
        return self.at(
            module,
            node,
            f"{name} is WSGI middleware: it goes along with bridge, and not with another framework",
            "serve the app as it is with bridge; nothing has to change in it",
            severity=(Severity.WARNING, Severity.INFO),
        )


def _is_wsgi_app(target: cst.BaseAssignTargetExpression) -> bool:
    return isinstance(target, cst.Attribute) and target.attr.value == "wsgi_app"
