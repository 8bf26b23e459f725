"""A long sync stream: one that never ends, or server-sent events.

With `bridge` and 40 threads, the 41st client of the stream stops every sync view: a stream holds a
worker thread as long as its client stays connected. The same happens under gunicorn, unnoticed
while there are few clients. An async generator holds no thread on an ASGI server, also behind
middleware that is sync-only. Django's own ASGI handler never
answers a request for a stream that never ends (V401). Events that end at some time, such as the
words of a language model, are a warning.

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
    summary = "an endless sync stream, or sync server-sent events: each client holds a thread"
    native = None
    bridge = Severity.ERROR
    triggers = ("StreamingHttpResponse",)

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        if is_test(module):
            return
        for stream in sync_streams(module, project):
            if stream.is_endless or stream.is_events:
                reason = "never ends" if stream.is_endless else "is sent as server-sent events"
                yield self.at(
                    module,
                    stream.call,
                    "each client holds a worker thread, and when all are held no sync view is "
                    f"answered: {stream.description} {reason}",
                    "stream an async generator from an async view",
                    severity=None if stream.is_endless else (None, Severity.WARNING),
                )
