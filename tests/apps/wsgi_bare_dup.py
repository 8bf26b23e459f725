"""Takes the socket of gunicorn with nothing but a dup: ``tests.apps.wsgi_bare_dup:app``.

What bridge does in its place is in ``bridge.asgi_to_wsgi.websocket.takeover``.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterable

from bridge.types import Environ, StartResponse


def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Echoes what the client sends, on a thread of its own."""
    if environ["PATH_INFO"] == "/take":
        taken = socket.socket(fileno=os.dup(environ["gunicorn.socket"].fileno()))
        threading.Thread(target=echo, args=[taken], daemon=True).start()
        start_response.__self__.force_close()  # type: ignore[attr-defined]  # gunicorn's response
        start_response("101 Switching Protocols", [("Content-Length", "0")])
    else:
        start_response("200 OK", [("Content-Length", "0")])
    return []


def echo(taken: socket.socket) -> None:
    with taken:
        taken.settimeout(60)
        while data := taken.recv(100):
            taken.sendall(data)
