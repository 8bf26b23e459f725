"""A site with everything that metrics count: WSGI and ASGI pages, WebSockets, sync helpers."""

from __future__ import annotations

import asyncio

from flask_site import app as flask_app  # type: ignore[import-not-found]  # next to this file

import bridge
import bridge.sync
from bridge.types import Receive, Scope, Send
from tests.harness.control import gate

exports = bridge.sync.limit(1, name="exports")


async def websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """Echo text until the client disconnects."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


async def pages(scope: Scope, receive: Receive, send: Send) -> None:
    """``/block/KEY`` blocks the event loop at a gate; ``/export/KEY`` waits there on a thread of a
    limit; ``/later/KEY`` answers, and then waits there.
    """
    _, _, name, *keys = scope["path"].split("/")
    if name == "block":
        gate(keys[0], "go")
    elif name == "export":
        await bridge.sync_to_async(gate, thread_sensitive=False, executor=exports)(keys[0], "go")
    headers = [(b"content-length", b"4")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"done"})
    if name == "later":
        await asyncio.to_thread(gate, keys[0], "go")


app = bridge.Router(
    {"/": flask_app, "/async": pages}, websocket={"/ws": websocket}, threads=4, backlog=8
)
