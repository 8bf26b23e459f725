"""A sync stream that lasts: one that never ends by itself, or server-sent events.

Through `bridge` it is streamed, and holds a worker thread for as long as the client stays: with 40
threads, the 41st client of it stops every sync view. So it does under gunicorn, and nobody noticed
with few clients. An async generator holds no thread. Django's own ASGI handler never answers such a
request at all (V401). Events that end at some time, such as the words of a language model, are a
warning.

Before::

    def events():
        while True:
            yield f"data: {json.dumps(updates.get())}\\n\\n"

After::

    async def events():
        while True:
            yield f"data: {json.dumps(await updates.get())}\\n\\n"
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


class LongSyncStream(Rule):
    """See the module's docstring."""

    code = "V410"
    name = "long-sync-stream"
    summary = "an endless sync stream, or sync events: each client holds a worker thread"
    native = None
    bridge = Severity.ERROR
    triggers = ("StreamingHttpResponse",)

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        if is_test(module):
            return
        for stream in sync_streams(module, project):
            if stream.is_endless or stream.is_events:
                lasts = "never ends" if stream.is_endless else "is sent as server-sent events"
                yield self.at(
                    module,
                    stream.call,
                    f"{stream.description} {lasts}: each client that listens holds a worker "
                    "thread, and when all are held no sync view is answered any more",
                    "stream an async generator from an async view",
                    severity=None if stream.is_endless else (None, Severity.WARNING),
                )
