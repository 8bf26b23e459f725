"""A ``StreamingHttpResponse`` that is given a sync iterator.

Django's own ASGI handler cannot iterate it on the event loop: it makes a list of all of it in a
thread first, and sends then. The client waits for the last part before it gets the first, and the
whole response is in memory. One that never ends is never answered. Under WSGI it is streamed, and
so it is through `bridge`.

Before::

    def rows():
        for order in Order.objects.iterator():
            yield f"{order.number}\\n"

    def export(request):
        return StreamingHttpResponse(rows(), content_type="text/csv")

After::

    async def rows():
        async for order in Order.objects.aiterator():
            yield f"{order.number}\\n"

    async def export(request):
        return StreamingHttpResponse(rows(), content_type="text/csv")

An async iterator is buffered in the same way under WSGI: change it when the project has moved.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bridge.migrate.findings import Finding, Severity
from bridge.migrate.functions import is_test
from bridge.migrate.rule import Rule
from bridge.migrate.streaming import sync_streams

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

_HELP = "stream an async generator, or move through bridge, which streams sync ones"


class SyncStream(Rule):
    """See the module's docstring."""

    code = "V401"
    name = "sync-iterator-streamed"
    summary = "a StreamingHttpResponse of a sync iterator: buffered whole under ASGI"
    native = Severity.WARNING
    bridge = Severity.INFO
    triggers = ("StreamingHttpResponse",)

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        if is_test(module):
            return
        for stream in sync_streams(module, project):
            happens = (
                "never ends, and Django's ASGI handler collects all of it before it answers: the "
                "client gets nothing"
                if stream.is_endless
                else "is collected whole in memory by Django's ASGI handler before it is sent"
            )
            yield self.at(
                module,
                stream.call,
                f"{stream.description} {happens}",
                _HELP,
                severity=(Severity.ERROR, self.bridge) if stream.is_endless else None,
            )
