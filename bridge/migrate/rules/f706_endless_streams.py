"""A view that streams without end, or server-sent events.

With 40 threads, the 41st client waits: a WSGI response is iterated by one thread until it ends, so
a generator with ``while True`` holds that thread as long as its client stays connected. A response
of type ``text/event-stream`` is such a stream, wherever its type is set, unless its content is
shown to be whole. Under gevent it was a greenlet, and cost next to nothing. `bridge` closes the
generator when the client disconnects, but the threads still limit the number of clients. Serve such
a stream with an ASGI app next to the Flask app.

Before::

    @app.get("/events")
    def events():
        def stream():
            while True:
                yield next_event()
        return Response(stream(), mimetype="text/event-stream")

After::

    async def events(scope, receive, send): ...    # a Starlette EventSourceResponse, say

    app = bridge.Router({"/events": events, "/": flask_app})
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bridge.migrate.event_streams import EventStream, streams_holding_threads
from bridge.migrate.findings import Finding, Severity
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.project import Project

_HELP = (
    "serve it with an ASGI app next to the Flask app, in bridge.Router; or set bridge run "
    "--threads to the number of clients"
)


class EndlessStreams(Rule):
    """See the module's docstring."""

    code = "F706"
    name = "endless-stream"
    summary = "a Flask view streams without end, or server-sent events: each client holds a thread"
    native = Severity.WARNING
    bridge = Severity.WARNING

    def check_project(self, project: Project) -> Iterator[Finding]:
        for stream in streams_holding_threads(project):
            if stream.framework == "flask":
                yield self.at(stream.module, stream.node, _message(stream), _HELP)


def _message(stream: EventStream) -> str:
    reason = (
        "its stream never ends"
        if stream.is_endless
        else "its response is of type text/event-stream"
    )
    return (
        f"{stream.view or 'a view'} holds a worker thread as long as its client stays connected: "
        f"{reason} ({stream.description})"
    )
