"""A view that streams without an end.

A WSGI response is iterated by the thread it was given, to its end. A generator with ``while True``
holds that thread as long as its client stays: with 40 threads, the 41st client waits. Under gevent
it was a greenlet and cost next to nothing. `bridge` closes the generator when the client leaves;
the number of clients is still bounded by the threads.

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
    summary = "a Flask view streams from a generator that never ends: a thread for each client"
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
                    f"{function.name.value} streams for as long as its client stays, and holds a "
                    "worker thread all that time",
                    "serve it as an ASGI app next to the Flask app, with bridge.Router; or give "
                    "bridge run as many --threads as there are clients",
                )


def _streams(module: Module, call: cst.Call) -> Iterator[str]:
    """The names of generators that a response, or ``stream_with_context``, is given."""
    if module.qualified(call) not in _RESPONSES:
        return
    for argument in call.args[:1]:
        value = argument.value
        if isinstance(value, cst.Call) and isinstance(value.func, cst.Name):
            yield value.func.value
        elif isinstance(value, cst.Name):
            yield value.value


def _endless(module: Module, function: cst.FunctionDef) -> cst.While | None:
    """Its loop that yields and has neither a condition, nor a way out."""
    for loop in module.inside(function, cst.While):
        has_yield = bool(module.inside(loop, cst.Yield))
        leaves = [*module.inside(loop, cst.Break), *module.inside(loop, cst.Return)]
        if module.source(loop.test) in ("True", "1") and has_yield and not leaves:
            return loop
    return None
