"""``a2wsgi.WSGIMiddleware`` and ``a2wsgi.ASGIMiddleware``.

When a client disconnects during a response, ``WSGIMiddleware`` never closes the app's iterator and
loses the worker thread for good. It also merges ``X_User`` into ``X-User``, joins cookies with a
comma, and runs ten requests at a time by default. ``ASGIMiddleware`` runs no lifespan, holds the
response until background tasks finish, and does not survive a fork. `bridge` follows PEP 3333 and
the ASGI specification in all of these points.

Before::

    from a2wsgi import WSGIMiddleware

    app.mount("/shop", WSGIMiddleware(flask_app, workers=20))

After::

    from bridge import WsgiToAsgi

    app.mount("/shop", WsgiToAsgi(flask_app, threads=20))

Of the options, ``workers`` becomes ``threads``; ``send_queue_size`` and ``wait_time`` are removed,
because `bridge` limits what waits to be sent in bytes and does not wait for background tasks.
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
    summary = "a2wsgi's adapters: threads lost when clients disconnect, no lifespan"
    native = Severity.WARNING
    bridge = Severity.WARNING
    fix = "safe"
    triggers = ("a2wsgi",)

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        for node, fix in uses_of(module, project, _TO_ASGI):
            yield self.at(
                module,
                node,
                "a2wsgi's WSGIMiddleware loses a thread for good when a client disconnects during "
                "a response, and merges headers that differ only in _ and -",
                "use bridge.WsgiToAsgi(app, threads=...)",
                fix=fix,
            )
        for node, fix in uses_of(module, project, _TO_WSGI):
            yield self.at(
                module,
                node,
                "a2wsgi's ASGIMiddleware runs no lifespan, holds responses until background tasks "
                "finish, and does not survive a fork",
                "use bridge.AsgiToWsgi(app)",
                fix=fix,
            )
