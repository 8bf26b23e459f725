"""``bridge run --metrics``: an HTTP server for scrapes, on an address of its own.

It runs in each process that serves the app, on threads of its own, so a scrape is answered while
the app's threads and loops are busy. Workers share the address: the system gives each connection to
one of those that live, and each answers for all. A forked child closes its copy of the socket: else
the address would be taken for as long as the child runs.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bridge._threads import process
from bridge._threads.own_threads import OwnThread
from bridge.metrics.exposition import Exposition

__all__ = ["PATH", "listen"]

logger = logging.getLogger("bridge.metrics")

PATH = "/metrics"
TIMEOUT_S = 10.0
"""How long a client may take to send its request, or to take the response."""
MOST_CLIENTS = 32
"""Connections at once, each with a thread. Others are closed."""


def listen(host: str, port: int, exposition: Exposition, *, is_shared: bool) -> None:
    """Answer scrapes in this process until it ends. An address that is taken is only logged: the
    app has to serve all the same.

    :param is_shared: other processes of the same app listen there, too.
    """
    try:
        server = _Server(host, port, exposition, is_shared)
    except OSError as error:
        logger.error("no metrics at http://%s:%d%s: %s", host, port, PATH, error)
        return
    process.in_child(process.Fork.METRICS, server.socket.close)
    OwnThread(target=server.serve_forever, name="bridge-metrics-listener", daemon=True).start()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, exposition: Exposition, is_shared: bool) -> None:
        self.exposition = exposition
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        self.address_family = family
        self.allow_reuse_address = os.name == "posix"  # elsewhere it lets others take the address
        self._is_shared = is_shared
        self._places = threading.BoundedSemaphore(MOST_CLIENTS)
        super().__init__(address[:2], _Handler)  # type: ignore[arg-type]  # the kinds differ

    def server_bind(self) -> None:
        if self._is_shared and hasattr(socket, "SO_REUSEPORT"):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if self.allow_reuse_address:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)  # not HTTPServer's, which asks a name server

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be started
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.debug("a scrape was not answered", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    timeout = TIMEOUT_S
    server: _Server
    server_version = "bridge"
    sys_version = ""

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != PATH:
            self.send_error(404)
            return
        content_type, body = self.server.exposition.text(self.headers.get("Accept", ""))
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """A scrape every few seconds is not worth a line."""
