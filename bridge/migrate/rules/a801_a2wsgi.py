"""``a2wsgi.WSGIMiddleware`` and ``a2wsgi.ASGIMiddleware``.

When a client leaves during a response, ``WSGIMiddleware`` never closes the app's iterator and
loses the thread; it merges ``X_User`` into ``X-User``, joins cookies with a comma, and runs ten
requests at a time unless told otherwise. ``ASGIMiddleware`` runs no lifespan, holds the response
for background tasks, and does not survive a fork. `bridge` does all of this as PEP 3333 and the
ASGI specification say.

Before::

    from a2wsgi import WSGIMiddleware

    app.mount("/shop", WSGIMiddleware(flask_app, workers=20))

After::

    from bridge import WsgiToAsgi

    app.mount("/shop", WsgiToAsgi(flask_app, threads=20))

Of the options, ``workers`` becomes ``threads``; ``send_queue_size`` and ``wait_time`` are left out:
`bridge` bounds what is sent in bytes, and waits for no background task.
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

_TO_ASGI = Adapter(
    ("a2wsgi.WSGIMiddleware", "a2wsgi.wsgi.WSGIMiddleware"),
    "WsgiToAsgi",
    {"workers": "threads", "send_queue_size": ""},
    ("workers", "send_queue_size"),
    ("a2wsgi",),
)
_TO_WSGI = Adapter(
    ("a2wsgi.ASGIMiddleware", "a2wsgi.asgi.ASGIMiddleware"),
    "AsgiToWsgi",
    {"wait_time": ""},
    ("wait_time",),
    ("a2wsgi",),
)


class A2wsgi(Rule):
    """See the module's docstring."""

    code = "A801"
    name = "a2wsgi"
    summary = "a2wsgi's adapters: threads lost at disconnects, no lifespan"
    native = Severity.WARNING
    bridge = Severity.WARNING
    fix = "safe"
    triggers = ("a2wsgi",)

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        for node, fix in uses_of(module, project, _TO_ASGI):
            yield self.at(
                module,
                node,
                "a2wsgi's WSGIMiddleware loses a thread for good when a client leaves midway, and "
                "merges headers that differ in _ and -",
                "use bridge.WsgiToAsgi(app, threads=...)",
                fix=fix,
            )
        for node, fix in uses_of(module, project, _TO_WSGI):
            yield self.at(
                module,
                node,
                "a2wsgi's ASGIMiddleware runs no lifespan, holds responses for background tasks, "
                "and does not survive a fork",
                "use bridge.AsgiToWsgi(app)",
                fix=fix,
            )
