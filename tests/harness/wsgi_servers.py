"""The WSGI servers for the tests of ``to_wsgi``, with their capabilities.

``python -m tests.harness.wsgi_servers <server> <target> <fd>`` runs the development server of
wsgiref or Werkzeug on the main thread until SIGTERM; they have no command line. The other servers
are those of :mod:`tests.harness.servers`.
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
    """A server and its capabilities.

    :ivar concurrent: serves several requests at the same time.
    :ivar streams_bodies: the app can read a request body while the client still sends it.
    :ivar dechunks: decodes chunked request bodies.
    :ivar read_size: the number of bytes that it buffers before a read of the app returns; 1 if a
        read returns as soon as data arrives.
    :ivar latin_1: accepts header values that are not ASCII.
    :ivar detects_disconnect: lets an app detect a disconnect without writing.
    :ivar response_buffer: how many bytes of a response it buffers, beside the socket buffers, for a
        client that does not read.
    :ivar has_write: its ``start_response`` returns PEP 3333's ``write()``.
    """

    spec: ServerSpec
    concurrent: bool = True
    streams_bodies: bool = True
    dechunks: bool = True
    read_size: int = 1
    latin_1: bool = True
    detects_disconnect: bool = True
    response_buffer: int = 0
    has_write: bool = True

    @property
    def name(self) -> str:
        return self.spec.name


def _development_server(name: str) -> ServerSpec:
    def command(at: Address, target: str) -> list[str]:
        return ["tests.harness.wsgi_servers", name, target, str(at.fd)]

    return ServerSpec(name, "wsgi", command, inherits_socket=True)


def _preload(at: Address, target: str) -> list[str]:
    command = SERVERS["gunicorn-gthread"].command(at, target)
    return [*command, "--preload", "--workers", str(PRELOAD_WORKERS)]


def _waitress(at: Address, target: str) -> list[str]:
    # Without a lookahead it does not read from the client while it serves the request.
    return ["waitress", f"--listen={HOST}:{at.port}", "--channel-request-lookahead=1", target]


_ALL = [
    WsgiServer(SERVERS["gunicorn-sync"], concurrent=False, read_size=65536),
    WsgiServer(SERVERS["gunicorn-gthread"], read_size=65536),
    WsgiServer(
        replace(SERVERS["gunicorn-gthread"], name="gunicorn-preload", command=_preload),
        read_size=65536,
    ),
    # Buffers request bodies, and responses up to outbuf_high_watermark.
    WsgiServer(
        replace(SERVERS["waitress"], command=_waitress),
        streams_bodies=False,
        response_buffer=16 << 20,
    ),
    WsgiServer(
        SERVERS["granian-wsgi"],
        read_size=65536,
        latin_1=False,
        detects_disconnect=False,
        has_write=False,
    ),
    WsgiServer(
        _development_server("wsgiref"), concurrent=False, dechunks=False, detects_disconnect=False
    ),
    WsgiServer(_development_server("werkzeug")),
]

WSGI: Mapping[str, WsgiServer] = {server.name: server for server in _ALL}


# -- development servers, which have no command line -----------------------------------------------


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Log no requests."""


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
    # Not sys.exit(): during a response, the server would treat it as an error of the app.
    signal.signal(signal.SIGTERM, lambda *args: threading.Thread(target=server.shutdown).start())
    server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main(*sys.argv[1:])
