"""The WSGI servers that `to_wsgi` is tried on, beside those of :mod:`tests.harness.servers`.

What enters: ``python -m tests.harness.wsgi_servers <server> <target> <fd>``. What leaves: wsgiref's
and Werkzeug's development servers on the main thread, until SIGTERM; and for the tests a
:class:`~tests.harness.servers.ServerSpec` of each, with what it can and cannot do.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from werkzeug.serving import make_server

from tests.harness.ports import HOST
from tests.harness.servers import SERVERS, Address, ServerSpec

PRELOAD_WORKERS = 2


@dataclass(frozen=True)
class WsgiServer:
    """A server, and what its users have to know about it.

    :ivar concurrent: serves several requests at the same time.
    :ivar streams_bodies: the app can read a request body while it is still coming.
    :ivar dechunks: decodes chunked request bodies.
    :ivar pieces: how large a piece it waits for before it gives any of it out, in bytes; 1 where
        bytes come as they arrive.
    :ivar latin_1: passes header values on that are not ASCII.
    :ivar shows_client: lets an app find out that its client has left, without writing to it.
    :ivar buffers: how much of a response it takes for a client that reads nothing, in bytes,
        beside what fits into sockets.
    """

    spec: ServerSpec
    concurrent: bool = True
    streams_bodies: bool = True
    dechunks: bool = True
    pieces: int = 1
    latin_1: bool = True
    shows_client: bool = True
    buffers: int = 0

    @property
    def name(self) -> str:
        return self.spec.name


def _ours(name: str) -> ServerSpec:
    def command(at: Address, target: str) -> list[str]:
        return ["tests.harness.wsgi_servers", name, target, str(at.fd)]

    return ServerSpec(name, "wsgi", command, inherits_socket=True)


def _preload(at: Address, target: str) -> list[str]:
    command = SERVERS["gunicorn-gthread"].command(at, target)
    return [*command, "--preload", "--workers", str(PRELOAD_WORKERS)]


def _waitress(at: Address, target: str) -> list[str]:
    # Without a look ahead it does not listen to a client while it serves its request.
    return ["waitress", f"--listen={HOST}:{at.port}", "--channel-request-lookahead=1", target]


_ALL = [
    WsgiServer(SERVERS["gunicorn-sync"], concurrent=False, pieces=65536),
    WsgiServer(SERVERS["gunicorn-gthread"], pieces=65536),
    WsgiServer(
        replace(SERVERS["gunicorn-gthread"], name="gunicorn-preload", command=_preload),
        pieces=65536,
    ),
    # It collects request bodies, and has a buffer for responses (outbuf_high_watermark).
    WsgiServer(
        replace(SERVERS["waitress"], command=_waitress), streams_bodies=False, buffers=16 << 20
    ),
    WsgiServer(SERVERS["granian-wsgi"], pieces=65536, latin_1=False, shows_client=False),
    WsgiServer(_ours("wsgiref"), concurrent=False, dechunks=False, shows_client=False),
    WsgiServer(_ours("werkzeug")),
]

WSGI: Mapping[str, WsgiServer] = {server.name: server for server in _ALL}


# -- the servers that have no command line of their own --------------------------------------------


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """No line for each request."""


def _wsgiref(app: Any, fd: int) -> Any:
    server = WSGIServer((HOST, 0), _QuietHandler, bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=fd)
    server.server_name, server.server_port = server.socket.getsockname()
    server.setup_environ()
    server.server_activate()
    server.set_app(app)
    return server


def _werkzeug(app: Any, fd: int) -> Any:
    with socket.socket(fileno=os.dup(fd)) as listener:
        listener.listen(128)
    return make_server(HOST, 0, app, threaded=True, fd=fd)


def main(name: str, target: str, fd: str) -> None:
    """Serve ``module:attr`` until SIGTERM."""
    module, _, attribute = target.partition(":")
    app = getattr(importlib.import_module(module), attribute)
    server = {"wsgiref": _wsgiref, "werkzeug": _werkzeug}[name](app, int(fd))
    # Not sys.exit() there: within a response, the server would take it for an error of the app.
    signal.signal(signal.SIGTERM, lambda *args: threading.Thread(target=server.shutdown).start())
    server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main(*sys.argv[1:])
