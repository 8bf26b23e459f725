"""A WebSocket that says everything twice.

::

    uvicorn echo:app
    python -m websockets ws://127.0.0.1:8000/

    gunicorn echo:wsgi_app        answers plain HTTP; a WebSocket gets 426 and what to do
"""

from __future__ import annotations

import bridge
from bridge.types import Receive, Scope, Send

HOW = b"This address takes a WebSocket. Try: python -m websockets ws://127.0.0.1:8000/\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Echo over WebSocket; over HTTP say how to get there."""
    if scope["type"] == "websocket":
        await echo(receive, send)
    elif scope["type"] == "http":
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": HOW})
    else:
        raise NotImplementedError(f"this app speaks http and websocket, not {scope['type']}")


async def echo(receive: Receive, send: Send) -> None:
    """Text comes back as text and bytes as bytes, until the other side leaves."""
    while (message := await receive())["type"] != "websocket.disconnect":
        if message["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        elif message.get("text") is not None:
            await send({"type": "websocket.send", "text": message["text"]})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"]})


wsgi_app = bridge.to_wsgi(app)
