"""A ``StreamingHttpResponse`` with a sync iterator.

Under Django's own ASGI handler the client waits for the last part before it gets the first, and the
whole response is in memory. A stream that never ends is never answered. The handler cannot iterate
a sync iterator on the event loop: it first makes a list of all parts in a thread, and then sends
them. Under WSGI and with `bridge` the response is streamed.

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

Under WSGI Django buffers an async iterator in the same way: make this change once the project has
moved to ASGI.
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

_HELP = "stream an async generator, or use bridge, which streams sync ones"


class SyncStream(Rule):
    """See the module's docstring."""

    code = "V401"
    name = "sync-iterator-streamed"
    summary = "a StreamingHttpResponse with a sync iterator: buffered in memory under ASGI"
    native = Severity.WARNING
    bridge = Severity.INFO
    triggers = ("StreamingHttpResponse",)

    def is_detail(self, finding: Finding, project: Project) -> bool:
        return finding.severity(project.target) is Severity.INFO  # bridge streams it

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        if is_test(module):
            return
        for stream in sync_streams(module, project):
            content = stream.content
            effect = (
                f"the client gets no answer: {content.description} never ends, and Django's ASGI "
                "handler collects all of it first"
                if content.is_endless
                else f"Django's ASGI handler collects all of {content.description} in memory "
                "before it sends anything"
            )
            yield self.at(
                module,
                stream.call,
                effect,
                _HELP,
                severity=(Severity.ERROR, self.bridge) if content.is_endless else None,
            )
