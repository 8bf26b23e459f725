"""A Flask app and a WebSocket echo in one Router: ``tests.apps.beside:app``.

Flask serves HTTP on worker threads, and the echo serves WebSockets below ``/ws`` on the event loop.
"""

from __future__ import annotations

import threading

from flask import Flask

import bridge
from bridge.types import Receive, Scope, Send

__all__ = ["THREADS", "app"]

THREADS = 8

flask_app = Flask(__name__)


@flask_app.get("/")
def index() -> str:
    """A small page with the name of its thread."""
    return f"<!doctype html><title>Beside</title><p>{threading.current_thread().name}</p>"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends text back unchanged."""
    if scope["type"] != "websocket":
        raise NotImplementedError(scope["type"])
    while (message := await receive())["type"] != "websocket.disconnect":
        if message["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        else:
            await send({"type": "websocket.send", "text": message["text"]})


app = bridge.Router({"/": flask_app}, websocket={"/ws": echo}, threads=THREADS)
