"""A long sync stream: one that never ends, or server-sent events.

With `bridge` and 40 threads, the 41st client of the stream stops every sync view: a stream holds a
worker thread as long as its client stays connected. The same happens under gunicorn, unnoticed
while there are few clients. An async generator holds no thread on an ASGI server, also behind
middleware that is sync-only. Django's own ASGI handler never answers a request for a stream that
never ends (V401). A response of type ``text/event-stream`` is a stream, wherever its type is set,
unless its content is shown to be whole. It is a warning where its generator may end, as the words
of a language model do.

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

from bridge.migrate.event_streams import streams_holding_threads
from bridge.migrate.findings import Finding, Severity
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.project import Project


class LongSyncStream(Rule):
    """See the module's docstring."""

    code = "V410"
    name = "long-sync-stream"
    summary = "an endless sync stream, or sync server-sent events: each client holds a thread"
    native = None
    bridge = Severity.ERROR

    def check_project(self, project: Project) -> Iterator[Finding]:
        for stream in streams_holding_threads(project):
            if stream.framework != "django":
                continue
            reason = "never ends" if stream.is_endless else "is sent as server-sent events"
            yield self.at(
                stream.module,
                stream.node,
                "each client holds a worker thread, and when all are held no sync view is "
                f"answered: {stream.description} {reason}",
                "stream an async generator from an async view",
                severity=None if stream.is_endless else (None, Severity.WARNING),
            )
