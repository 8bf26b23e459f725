"""WebSockets through flask-sock, which takes the server's socket from the environ.

Under an ASGI server every WebSocket is refused. flask-sock (through simple-websocket) speaks
WebSocket itself, on the raw socket that Werkzeug, gunicorn, eventlet or gevent put in the environ.
An ASGI server keeps its sockets, and passes a WebSocket to its app as messages. For a WSGI app
`bridge` refuses a WebSocket with 403, unless ``websocket_threads`` sets how many threads WebSockets
may hold: then it puts a socket in the environ too.

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

_CONSTRUCTORS = ("flask_sock.Sock", "simple_websocket.Server", "simple_websocket.Server.accept")


class FlaskSock(Rule):
    """See the module's docstring."""

    code = "F701"
    name = "flask-sock"
    summary = "flask-sock needs the server's socket, which no ASGI server provides"
    native = Severity.ERROR
    bridge = Severity.ERROR
    triggers = ("flask_sock", "simple_websocket")

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        if any(True for _ in project.containing("websocket_threads")):
            return
        for call in module.nodes(cst.Call):
            name = module.qualified(call)
            if name in _CONSTRUCTORS:
                yield self.at(
                    module,
                    call,
                    f"every WebSocket is refused: {name} takes the server's socket from the "
                    "environ, and an ASGI server puts none there",
                    "use bridge.to_asgi(app, websocket_threads=N), with a thread for each open "
                    "WebSocket; or serve WebSockets with an ASGI app in bridge.Router(..., "
                    "websocket={...})",
                )
