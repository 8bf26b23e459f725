"""The apps that are measured. Each is as plain as it gets, so that the bridge is what is seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import a2wsgi
from asgiref.wsgi import WsgiToAsgi as AsgirefWsgiToAsgi
from flask import Flask

import bridge
from bridge.types import Environ, Receive, Scope, Send, StartResponse

THREADS = 40
GREETING = b"Hello, world!"


async def bare_asgi(scope: Scope, receive: Receive, send: Send) -> None:
    """The same answer without any bridge: what the server itself can do."""
    if scope["type"] != "http":
        return
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"13")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": GREETING})


def hello(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return [GREETING]


def chunks(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """1,000 chunks of 64 bytes."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    chunk = b"x" * 64
    for _ in range(1000):
        yield chunk


flask = Flask(__name__)


@flask.get("/")
def flask_hello() -> str:
    return "Hello, world!"


bridge_hello = bridge.to_asgi(hello, threads=THREADS)
bridge_flask = bridge.to_asgi(flask, threads=THREADS)
bridge_chunks = bridge.to_asgi(chunks, threads=THREADS)

a2wsgi_hello = a2wsgi.WSGIMiddleware(hello, workers=THREADS)
a2wsgi_flask = a2wsgi.WSGIMiddleware(flask, workers=THREADS)
a2wsgi_chunks = a2wsgi.WSGIMiddleware(chunks, workers=THREADS)

asgiref_hello: Any = AsgirefWsgiToAsgi(hello)  # type: ignore[no-untyped-call] # no annotations
asgiref_flask: Any = AsgirefWsgiToAsgi(flask)  # type: ignore[no-untyped-call] # no annotations

# -- the other way round, for WSGI servers ---------------------------------------------------------

bridge_wsgi = bridge.to_wsgi(bare_asgi, lifespan="off")
a2wsgi_wsgi: Any = a2wsgi.ASGIMiddleware(bare_asgi)  # type: ignore[arg-type] # its own aliases
