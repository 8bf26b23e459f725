"""``asgiref.wsgi.WsgiToAsgi``.

It runs one request at a time: all of them share one thread. It reads the whole body before the app
is called, sends the head at once and each chunk with a trip through the event loop, and knows no
lifespan. `bridge` has a class of the same name and the same options.

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
    summary = "asgiref's WsgiToAsgi: one request at a time"
    native = Severity.WARNING
    bridge = Severity.WARNING
    fix = "safe"
    triggers = ("asgiref",)

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        for node, fix in uses_of(module, project, _ADAPTER):
            yield self.at(
                module,
                node,
                "asgiref's WsgiToAsgi runs one request at a time, and reads each body whole before "
                "the app is called",
                "use bridge.WsgiToAsgi, which takes the same options",
                fix=fix,
            )
