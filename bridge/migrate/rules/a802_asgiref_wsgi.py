"""``asgiref.wsgi.WsgiToAsgi``.

It serves one request at a time, because all requests share one thread. It reads the whole body
before it calls the app, sends the head at once and each chunk with a trip through the event loop,
and does not support lifespan. `bridge` has a class of the same name with the same options.

Before::

    from asgiref.wsgi import WsgiToAsgi

    asgi_app = WsgiToAsgi(app)

After::

    from bridge import WsgiToAsgi

    asgi_app = WsgiToAsgi(app)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bridge.migrate.findings import Finding, Severity
from bridge.migrate.rewrap import Adapter, uses_of
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

_ADAPTER = Adapter(
    ("asgiref.wsgi.WsgiToAsgi",),
    "WsgiToAsgi",
    {"duplicate_header_limit": "duplicate_header_limit"},
    ("duplicate_header_limit",),
    ("asgiref", "flask", "django", "uvicorn"),
)


class AsgirefWsgi(Rule):
    """See the module's docstring."""

    code = "A802"
    name = "asgiref-wsgi-to-asgi"
    summary = "asgiref's WsgiToAsgi serves one request at a time"
    native = Severity.WARNING
    bridge = Severity.WARNING
    fix = "safe"
    triggers = ("asgiref",)

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        for node, fix in uses_of(module, project, _ADAPTER):
            yield self.at(
                module,
                node,
                "asgiref's WsgiToAsgi serves one request at a time, and reads the whole body "
                "before it calls the app",
                "use bridge.WsgiToAsgi, which takes the same options",
                fix=fix,
            )
