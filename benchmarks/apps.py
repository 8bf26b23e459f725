"""The apps to measure. Each is as small as possible, so that the cost of the adapter is visible.

Input: ``BENCH_THREADS``, the number of threads of each adapter, and ``BENCH_FILE``, the file to
download. Flask apps are in `benchmarks.flask_site`, Django apps in `benchmarks.django_site`.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any, cast

import a2wsgi
from asgiref.wsgi import WsgiToAsgi as AsgirefWsgiToAsgi

import bridge
from benchmarks.inline import inline
from bridge.types import Environ, Receive, Scope, Send, StartResponse

# The casts are for a2wsgi: its own type aliases accept no other app.
THREADS = int(os.environ.get("BENCH_THREADS", "40"))
GREETING = b"Hello, world!"
BLOCK = 65536
SLEEP_S = 0.01
SLOW_S = 0.1
IDLE_S = 3600.0


async def bare_asgi(scope: Scope, receive: Receive, send: Send) -> None:
    """The same response without an adapter: the limit of the server itself."""
    if scope["type"] != "http":
        return
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"13")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": GREETING})


def hello(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return [GREETING]


# -- larger responses, bodies and waits ------------------------------------------------------------


def chunks(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """1,000 chunks of 64 bytes."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    chunk = b"x" * 64
    for _ in range(1000):
        yield chunk


def download(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """The whole file, through ``wsgi.file_wrapper`` (PEP 3333)."""
    path = os.environ["BENCH_FILE"]
    length = str(os.path.getsize(path))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", length)])
    file = open(path, "rb")  # noqa: SIM115 (closed by the server after the response, or by the interpreter)
    if "wsgi.file_wrapper" not in environ:
        return iter(lambda: file.read(BLOCK), b"")
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file, BLOCK)
    return wrapped


def upload(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Reads the body block by block and returns its length."""
    read, total = environ["wsgi.input"].read, 0
    while block := read(BLOCK):
        total += len(block)
    return _text(start_response, str(total))


def sleep(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Waits as long as a fast query."""
    time.sleep(SLEEP_S)
    return _text(start_response, "slept")


def slow(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Waits as long as a slow query."""
    time.sleep(SLOW_S)
    return _text(start_response, "slept long")


def events(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """An event stream that sends one event and stays open."""
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    yield b"data: hello\n\n"
    threading.Event().wait(IDLE_S)


PATHS = {
    "/chunks": chunks,
    "/download": download,
    "/upload": upload,
    "/sleep": sleep,
    "/slow": slow,
    "/events": events,
}


def work(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """The app at the path, or ``hello``."""
    return PATHS.get(environ["PATH_INFO"], hello)(environ, start_response)


def _text(start_response: StartResponse, text: str) -> Iterable[bytes]:
    length = str(len(text))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", length)])
    return [text.encode()]


bridge_hello = bridge.to_asgi(hello, threads=THREADS)
bridge_work = bridge.to_asgi(work, threads=THREADS)
inline_hello = inline(hello)

a2wsgi_hello = a2wsgi.WSGIMiddleware(cast(Any, hello), workers=THREADS)
a2wsgi_work = a2wsgi.WSGIMiddleware(cast(Any, work), workers=THREADS)

asgiref_hello: Any = AsgirefWsgiToAsgi(hello)  # type: ignore[no-untyped-call] # no annotations

# -- ASGI apps for WSGI servers --------------------------------------------------------------------


async def events_asgi(scope: Scope, receive: Receive, send: Send) -> None:
    """The same event stream as an ASGI app."""
    if scope["type"] != "http":
        return
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"data: hello\n\n", "more_body": True})
    await asyncio.sleep(IDLE_S)


bridge_wsgi = bridge.to_wsgi(bare_asgi, lifespan="off")
bridge_wsgi_events = bridge.to_wsgi(events_asgi, lifespan="off")
a2wsgi_wsgi: Any = a2wsgi.ASGIMiddleware(cast(Any, bare_asgi))
a2wsgi_wsgi_events: Any = a2wsgi.ASGIMiddleware(cast(Any, events_asgi))
