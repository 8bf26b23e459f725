"""WebSockets by flask-sock, which takes the server's socket out of the environ.

flask-sock (through simple-websocket) speaks WebSocket itself, on the bare socket that Werkzeug,
gunicorn, eventlet or gevent leave in the environ. An ASGI server keeps its sockets, and a
WebSocket comes to its app as messages: on behalf of a WSGI app `bridge` refuses it with 403, unless
told how many threads WebSockets may hold. Then it leaves a socket in the environ, too.

Before::

    @sock.route("/echo")
    def echo(ws):
        while True:
            ws.send(ws.receive())

After::

    application = bridge.to_asgi(app, websocket_threads=100)    # one for each open WebSocket
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

_MAKES = ("flask_sock.Sock", "simple_websocket.Server", "simple_websocket.Server.accept")


class FlaskSock(Rule):
    """See the module's docstring."""

    code = "F701"
    name = "flask-sock"
    summary = "flask-sock needs the server's socket, which no ASGI server gives away"
    native = Severity.ERROR
    bridge = Severity.ERROR
    triggers = ("flask_sock", "simple_websocket")

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        if any(True for _ in project.containing("websocket_threads")):
            return
        for call in module.nodes(cst.Call):
            name = module.qualified(call)
            if name in _MAKES:
                yield self.at(
                    module,
                    call,
                    f"{name} takes the server's socket out of the environ, where an ASGI server "
                    "has none: every WebSocket is refused",
                    "use bridge.to_asgi(app, websocket_threads=N), with a thread for each that is "
                    "open; or write them as an ASGI app for bridge.Router(..., websocket={...})",
                )
