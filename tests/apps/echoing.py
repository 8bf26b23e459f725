"""Apps that send back what the client has sent: status, names and values of headers.

``GET /held?MARKER`` responds with what the server's process still has in memory of requests with
this marker: see :mod:`tests.harness.memory`. ``app`` and ``router`` are for ASGI servers,
``wsgi_app`` for WSGI servers.
"""

from __future__ import annotations

from collections.abc import Iterable

import bridge
from bridge.types import Environ, Receive, Scope, Send, StartResponse
from tests.harness import every_line  # noqa: F401 (imported for its effect)
from tests.harness.memory import held


def echo_wsgi(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    body = b""
    if environ["PATH_INFO"] == "/held":
        body = str(held(environ["QUERY_STRING"])).encode()
    sent = [
        (key[5:].replace("_", "-"), value)
        for key, value in environ.items()
        if key.startswith("HTTP_X_")
    ]
    length = ("Content-Length", str(len(body)))
    start_response(f"200 {environ['REQUEST_METHOD']}", [*sent, length])
    return [body]


async def echo_asgi(scope: Scope, receive: Receive, send: Send) -> None:
    body = b""
    if scope["path"] == "/held":
        body = str(held(scope["query_string"].decode())).encode()
    sent = [(name, value) for name, value in scope["headers"] if name.startswith(b"x-")]
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": 200, "headers": [*sent, length]})
    await send({"type": "http.response.body", "body": body})


app = bridge.to_asgi(echo_wsgi)
wsgi_app = bridge.to_wsgi(echo_asgi, lifespan="off")
router = bridge.Router({"/": echo_wsgi}, lifespan="off")
