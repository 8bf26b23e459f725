"""On a server without an asyncio loop, as ``hypercorn -k trio``: one error, which says so."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from typing import Any

import pytest

import bridge
from bridge.types import AsgiApp, Environ, Message, Receive, Scope, Send, StartResponse
from tests.harness.asgi import http_scope

SENTENCE = "no asyncio event loop is running here; start the server on asyncio or uvloop, not trio"
LIFESPAN = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}


def wsgi(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    return []


async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 204, "headers": []})


APPS: dict[str, Any] = {
    "wsgi": bridge.to_asgi(wsgi),
    "router-wsgi": bridge.Router({"/": wsgi}),
    "router-asgi": bridge.Router({"/": asgi}),
    "router-both": bridge.Router({"/": asgi, "/site": wsgi}),
    "router-nested": bridge.Router({"/": bridge.Router({"/": asgi})}),
    "router-websocket": bridge.Router({"/": wsgi}, websocket={"/ws": asgi}),
    "universal-wsgi": bridge.universal(wsgi),
    "universal-asgi": bridge.universal(asgi),
}
each_app = pytest.mark.parametrize("app", APPS.values(), ids=APPS)


def run_without_asyncio(app: AsgiApp, scope: Scope, *received: Message) -> list[Message]:
    """Run an app that never waits. Raises what it raises."""
    inbox, sent = list(received), list[Message]()

    async def receive() -> Message:
        return inbox.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    async def run(awaitable: Awaitable[None]) -> None:
        try:
            await awaitable
        except bridge.BridgeError as error:
            sent.append({"type": "raised", "error": str(error), "cause": error.__cause__})

    with pytest.raises(StopIteration):
        run(app(scope, receive, send)).send(None)
    return sent


@each_app
def test_a_request_raises_the_sentence(app: AsgiApp) -> None:
    (raised,) = run_without_asyncio(app, http_scope(), {"type": "http.request"})

    assert raised["error"] == SENTENCE


@each_app
def test_the_startup_fails_with_it(app: AsgiApp) -> None:
    failed, raised = run_without_asyncio(app, LIFESPAN, {"type": "lifespan.startup"})

    assert failed == {"type": "lifespan.startup.failed", "message": SENTENCE}
    assert raised["error"] == SENTENCE


def test_asgi_apps_without_a_lifespan_are_served() -> None:
    router = bridge.Router({"/": asgi}, lifespan="off")
    startup, shutdown = {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}

    answers = run_without_asyncio(router, LIFESPAN, startup, shutdown)
    assert [message["type"] for message in answers] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    (start,) = run_without_asyncio(router, http_scope(), {"type": "http.request"})
    assert start["status"] == 204
