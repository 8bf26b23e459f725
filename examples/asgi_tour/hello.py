"""The smallest ASGI app: two messages make a response.

::

    uvicorn hello:app             an ASGI server calls the app directly
    gunicorn hello:wsgi_app       a WSGI server calls it through bridge
"""

from __future__ import annotations

import bridge
from bridge.types import Receive, Scope, Send


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer every request with the same text."""
    if scope["type"] != "http":
        raise NotImplementedError(f"unsupported scope type: {scope['type']}")
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"Hello from an ASGI app.\n"})


wsgi_app = bridge.to_wsgi(app)
