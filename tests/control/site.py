"""An app that gets stuck where a test wants it to: on a thread, on the loop, in a WebSocket."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable

import bridge
import bridge.control
from bridge.types import Environ, Receive, Scope, Send, StartResponse
from tests.harness.control import gate


def shop(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """WSGI: ``/gated/<key>`` waits."""
    path = environ["PATH_INFO"]
    if path.startswith("/gated/"):
        wait_on_thread(path.rpartition("/")[2])
    start_response("200 OK", [("Content-Length", "4")])
    return [b"shop"]


def wait_on_thread(key: str) -> None:
    gate(key, "go")


async def site(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI: ``/gated/<key>`` waits, ``/blocks/<key>`` blocks the loop."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    _, _, last = scope["path"].partition("/gated/")
    if last:
        await wait_on_loop(last)
    if scope["path"].startswith("/blocks/"):
        wait_on_thread(scope["path"].rpartition("/")[2])
    if scope["path"].startswith("/calls/"):
        key = scope["path"].rpartition("/")[2]
        await bridge.sync_to_async(wait_on_thread, thread_sensitive=False)(key)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"site"})


async def wait_on_loop(key: str) -> None:
    await asyncio.to_thread(gate, key.partition("/")[0], "go")


app = bridge.Router({"/": site, "/shop": shop}, websocket={"/ws": site}, threads=2)

if "CONTROL" in os.environ:  # as an app does that no `bridge run` starts
    bridge.control.listen(os.environ["CONTROL"])
    app = bridge.control.watch(app)
    shop = bridge.control.watch(shop)
