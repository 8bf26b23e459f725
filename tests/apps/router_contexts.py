"""A WSGI app and an ASGI app in one Router, which set context variables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any

import bridge
from bridge.types import Environ, Receive, Scope, Send, StartResponse

user: ContextVar[str] = ContextVar("user", default="-")


def sets(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Responds with the value that it finds."""
    found = user.get()
    user.set("wsgi")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(found)))])
    return [found.encode()]


def streams(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """The same, from a generator, which sees its own value until it ends."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield user.get().encode()
    user.set("streamed")
    yield b""
    yield f" {user.get()}".encode()


async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
    """The same from an ASGI app."""
    assert scope["type"] == "http"
    found = user.get()
    user.set("asgi")
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(found))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": found.encode()})


def make_router() -> Any:
    """Each app below its own prefix."""
    return bridge.Router({"/": sets, "/streams": streams, "/asgi": asgi}, threads=1)


app = make_router()
