"""A view that streams without end.

With 40 threads, the 41st client waits: a WSGI response is iterated by one thread until it ends, so
a generator with ``while True`` holds that thread as long as its client stays connected. Under
gevent it was a greenlet, and cost next to nothing. `bridge` closes the generator when the client
disconnects, but the threads still limit the number of clients. Serve such a stream with an ASGI
app next to the Flask app.

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

import libcst as cst

from bridge.migrate.findings import Finding, Severity
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

_RESPONSES = (
    *("flask.Response", "flask.stream_with_context", "flask.wrappers.Response"),
    *("werkzeug.Response", "werkzeug.wrappers.Response", "flask.helpers.stream_with_context"),
)


class EndlessStreams(Rule):
    """See the module's docstring."""

    code = "F706"
    name = "endless-stream"
    summary = "a Flask view streams a generator that never ends: each client holds a thread"
    native = Severity.WARNING
    bridge = Severity.WARNING
    triggers = ("while True", "while 1")

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        streamed = {name for call in module.nodes(cst.Call) for name in _streams(module, call)}
        for function in module.nodes(cst.FunctionDef) if streamed else ():
            loop = _endless(module, function)
            if function.name.value in streamed and loop is not None and not function.asynchronous:
                yield self.at(
                    module,
                    loop,
                    f"{function.name.value} holds a worker thread as long as its client stays "
                    "connected: its stream never ends",
                    "serve it with an ASGI app next to the Flask app, in bridge.Router; or set "
                    "bridge run --threads to the number of clients",
                )


def _streams(module: Module, call: cst.Call) -> Iterator[str]:
    """The names of the generators passed to a response or to ``stream_with_context``."""
    if module.qualified(call) not in _RESPONSES:
        return
    for argument in call.args[:1]:
        value = argument.value
        if isinstance(value, cst.Call) and isinstance(value.func, cst.Name):
            yield value.func.value
        elif isinstance(value, cst.Name):
            yield value.value


def _endless(module: Module, function: cst.FunctionDef) -> cst.While | None:
    """The loop that yields, has no condition, and has no ``break`` or ``return``."""
    for loop in module.inside(function, cst.While):
        has_yield = bool(module.inside(loop, cst.Yield))
        exits = [*module.inside(loop, cst.Break), *module.inside(loop, cst.Return)]
        if module.source(loop.test) in ("True", "1") and has_yield and not exits:
            return loop
    return None
