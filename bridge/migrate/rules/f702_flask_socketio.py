"""Flask-SocketIO, whose server is WSGI middleware.

Under an ASGI server its WebSockets are refused with 403, unless ``websocket_threads`` of `bridge`
sets how many threads WebSockets may hold. Flask-SocketIO wraps ``app.wsgi_app``: long polling
works in threads, one for each client that waits. With ``async_mode`` eventlet or gevent nothing
works, because their hubs do not run. python-socketio has its own ASGI server, with the same events.

Before::

    socketio = SocketIO(app)

After::

    server = socketio.AsyncServer(async_mode="asgi")
    application = socketio.ASGIApp(server, bridge.to_asgi(app))

    # or, with SocketIO(app, async_mode="threading") and a thread for each open WebSocket
    application = bridge.to_asgi(app, websocket_threads=100)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from bridge.migrate.findings import Finding, Severity
from bridge.migrate.literals import evaluate
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project


class FlaskSocketIO(Rule):
    """See the module's docstring."""

    code = "F702"
    name = "flask-socketio"
    summary = "Flask-SocketIO: its WebSockets are refused under an ASGI server"
    native = Severity.ERROR
    bridge = Severity.ERROR
    triggers = ("flask_socketio",)

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        has_sockets = any(True for _ in project.containing("websocket_threads"))
        for call in module.nodes(cst.Call):
            if module.qualified(call) == "flask_socketio.SocketIO":
                mode = _mode(call)
                if has_sockets and mode == "threading":
                    continue
                yield self.at(
                    module,
                    call,
                    "an ASGI server refuses the WebSockets of Flask-SocketIO; "
                    + (
                        "each client that polls holds a thread"
                        if mode == "threading"
                        else f"async_mode {mode or '(eventlet or gevent where installed)'} does "
                        "not run there at all"
                    ),
                    'use python-socketio: socketio.ASGIApp(socketio.AsyncServer(async_mode="asgi")'
                    ', bridge.to_asgi(app)); or SocketIO(app, async_mode="threading") with '
                    "bridge.to_asgi(app, websocket_threads=N)",
                )


def _mode(call: cst.Call) -> str | None:
    for argument in call.args:
        if argument.keyword is not None and argument.keyword.value == "async_mode":
            value = evaluate(argument.value)
            return value if isinstance(value, str) else None
    return None
