"""Async views in Flask.

Flask runs an ``async def`` view with ``async_to_sync`` on the thread of the request. Under gunicorn
each call makes an event loop and closes it, so an async client cannot be kept between requests.
With `bridge` the view runs on the server's own event loop, where clients and pools can be kept and
shared. The request still holds its thread.

Before::

    @app.get("/rates")
    async def rates():
        async with httpx.AsyncClient() as client:       # a new client: its loop ends with the view
            return (await client.get(URL)).json()

After::

    @app.get("/rates")
    async def rates():
        return (await client.get(URL)).json()           # one client for all requests
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from bridge.migrate.findings import Finding, Severity
from bridge.migrate.functions import imports_any
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

_ROUTES = ("route", "get", "post", "put", "patch", "delete")


class AsyncViews(Rule):
    """See the module's docstring."""

    code = "F707"
    name = "flask-async-view"
    summary = "an async view in Flask: bridge runs it on the server's event loop"
    native = Severity.INFO
    bridge = Severity.INFO
    triggers = ("async def",)

    def is_detail(self, finding: Finding, project: Project) -> bool:
        return True

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        if not imports_any(module, "flask"):
            return
        for node in module.nodes(cst.FunctionDef):
            if node.asynchronous is not None and any(map(_is_route, node.decorators)):
                yield self.at(
                    module,
                    node,
                    f"{node.name.value} is async: bridge runs it on the server's event loop, where "
                    "async clients can be kept, but its request still holds a thread",
                    "keep async clients between requests; move a path that must not hold a thread "
                    "to an ASGI app next to this one in bridge.Router",
                )


def _is_route(decorator: cst.Decorator) -> bool:
    match decorator.decorator:
        case cst.Call(func=cst.Attribute(attr=cst.Name(value=name))):
            return name in _ROUTES
        case _:
            return False
