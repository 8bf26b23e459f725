"""A WebSocket that returns every message.

::

    uvicorn echo:app
    python -m websockets ws://127.0.0.1:8000/

    gunicorn echo:wsgi_app
"""

from __future__ import annotations

import bridge
from bridge.types import Receive, Scope, Send

HELP = b"Connect with a WebSocket. Try: python -m websockets ws://127.0.0.1:8000/\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Echo over WebSocket; explain over HTTP how to connect."""
    if scope["type"] == "websocket":
        await echo(receive, send)
    elif scope["type"] == "http":
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": HELP})
    else:
        raise NotImplementedError(f"unsupported scope type: {scope['type']}")


async def echo(receive: Receive, send: Send) -> None:
    """Return text as text and bytes as bytes, until the client disconnects."""
    while (message := await receive())["type"] != "websocket.disconnect":
        if message["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        elif message.get("text") is not None:
            await send({"type": "websocket.send", "text": message["text"]})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"]})


wsgi_app = bridge.to_wsgi(app)
