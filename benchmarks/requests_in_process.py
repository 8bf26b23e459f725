"""Requests without a server: messages as the specifications define them, one request at a time.

Input: an app. Output: a function that sends requests to it one after another, and returns when the
last response is complete. ASGI apps run in an asyncio event loop on the calling thread, WSGI apps
directly on it.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import bridge
from bridge.types import AsgiApp, Environ, Message, Receive, Scope, Send, WsgiApp

__all__ = ["CALL_CASES", "CASES", "HEADERS", "Case", "asgi_requests", "make_scope", "wsgi_requests"]

SendRequests = Callable[[int], float]
"""Sends a number of requests; returns the CPU seconds that the whole process used for them."""

HEADERS = [
    (b"host", b"site.example"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    (b"accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    (b"accept-language", b"en-US,en;q=0.5"),
    (b"accept-encoding", b"gzip, deflate, br, zstd"),
    (b"cookie", b"sessionid=0123456789abcdef; csrftoken=fedcba9876543210"),
]


def make_scope(path: str = "/", headers: Sequence[tuple[bytes, bytes]] = HEADERS) -> Scope:
    """An ``http`` scope, as uvicorn builds it for a request of a browser."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
        "scheme": "http",
        "root_path": "",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"page=1",
        "headers": list(headers),
        "state": {},
    }


@contextmanager
def asgi_requests(
    app: AsgiApp, scope: Scope, body: Sequence[bytes] = (b"",)
) -> Iterator[SendRequests]:
    """Requests to an ASGI app.

    :param body: of each request, one message for each item.
    """
    with asyncio.Runner() as runner:

        async def send_requests(count: int) -> float:
            start = time.process_time()
            for _ in range(count):
                await app(dict(scope), _receiver(body), _send)
            return time.process_time() - start

        yield lambda count: runner.run(send_requests(count))


def _receiver(body: Sequence[bytes]) -> Receive:
    pieces = iter(body)
    left = len(body)

    async def receive() -> Message:
        nonlocal left
        left -= 1
        if left < 0:
            await asyncio.get_running_loop().create_future()  # an idle client, still connected
        return {"type": "http.request", "body": next(pieces), "more_body": left > 0}

    return receive


async def _send(message: Message) -> None:
    pass


@contextmanager
def wsgi_requests(app: WsgiApp, environ: Environ) -> Iterator[SendRequests]:
    """Requests to a WSGI app."""

    def start_response(status: str, headers: Any, exc_info: Any = None, /) -> Any:
        return None

    def send_requests(count: int) -> float:
        start = time.process_time()
        for _ in range(count):
            for _chunk in app({**environ, "wsgi.input": io.BytesIO()}, start_response):
                pass
        return time.process_time() - start

    yield send_requests


def make_environ() -> Environ:
    """An environ, as gunicorn builds it for the same request."""
    environ: Environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "RAW_URI": "/?page=1",
        "QUERY_STRING": "page=1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "50000",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in HEADERS:
        environ["HTTP_" + name.decode().upper().replace("-", "_")] = value.decode()
    return environ


# -- the cases -------------------------------------------------------------------------------------

Case = Callable[[], Any]
"""Returns a context manager that enters with :data:`SendRequests`."""


def _hello(environ: Environ, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return [b"Hello, world!"]


def _chunks(environ: Environ, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    for _ in range(100):
        yield b"x" * 64


def _read_body(environ: Environ, start_response: Any) -> list[bytes]:
    length = str(len(environ["wsgi.input"].read()))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(length)))])
    return [length.encode()]


async def _hello_asgi(scope: Scope, receive: Receive, send: Send) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"13")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"Hello, world!"})


def _to_asgi(app: WsgiApp, body: Sequence[bytes] = (b"",)) -> Any:
    headers = HEADERS
    if body[0]:
        length = str(sum(map(len, body))).encode()
        headers = [*HEADERS, (b"content-length", length), (b"content-type", b"text/plain")]
    return asgi_requests(bridge.to_asgi(app, threads=4), make_scope("/", headers), body)


def _to_wsgi() -> Any:
    return wsgi_requests(bridge.to_wsgi(_hello_asgi, lifespan="off"), make_environ())


def _mounted() -> Any:
    app = bridge.to_asgi(_hello)
    mounts: dict[str, Any] = {f"/app{number}": app for number in range(10)}
    return asgi_requests(bridge.Router({**mounts, "/": app}), make_scope())


CASES: dict[str, Case] = {
    "to_asgi, hello": lambda: _to_asgi(_hello),
    "to_asgi, 1 KB form": lambda: _to_asgi(_read_body, (b"x" * 1024,)),
    "to_asgi, 100 chunks": lambda: _to_asgi(_chunks),
    "to_wsgi, hello": _to_wsgi,
    "Router of 10 apps, hello": _mounted,
}
"""The kinds of request, by name."""


async def _answer_async() -> int:
    return 1


@contextmanager
def _sync_to_async() -> Iterator[SendRequests]:
    call = bridge.sync_to_async(lambda: 1, thread_sensitive=False)
    with asyncio.Runner() as runner:

        async def send_calls(count: int) -> float:
            start = time.process_time()
            for _ in range(count):
                await call()
            return time.process_time() - start

        yield lambda count: runner.run(send_calls(count))


@contextmanager
def _async_to_sync() -> Iterator[SendRequests]:
    call = bridge.async_to_sync(_answer_async)

    def send_calls(count: int) -> float:
        start = time.process_time()
        for _ in range(count):
            call()
        return time.process_time() - start

    yield send_calls


CALL_CASES: dict[str, Case] = {"sync_to_async": _sync_to_async, "async_to_sync": _async_to_sync}
"""Calls of the sync helpers, by name."""
