"""A Flask app and a WebSocket echo in one Router: ``tests.apps.beside:app``.

What enters: HTTP, which Flask answers on worker threads; WebSockets below ``/ws``, which the echo
answers on the event loop.
"""

from __future__ import annotations

import threading

from flask import Flask

import bridge
from bridge.types import Receive, Scope, Send

__all__ = ["THREADS", "app"]

THREADS = 8

site = Flask(__name__)


@site.get("/")
def index() -> str:
    """A small page, and which thread made it."""
    return f"<!doctype html><title>Beside</title><p>{threading.current_thread().name}</p>"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Text comes back as it is."""
    if scope["type"] != "websocket":
        raise NotImplementedError(scope["type"])
    while (message := await receive())["type"] != "websocket.disconnect":
        if message["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        else:
            await send({"type": "websocket.send", "text": message["text"]})


app = bridge.Router({"/": site}, websocket={"/ws": echo}, threads=THREADS)
