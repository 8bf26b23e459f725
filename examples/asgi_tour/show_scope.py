"""The scope, which describes a request to an ASGI app, as JSON.

::

    uvicorn show_scope:app
    gunicorn show_scope:wsgi_app

Request the same URL from both, and compare. Through bridge there is one more key,
``wsgi_environ``: the WSGI server's environ, from which bridge builds the scope.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import bridge
from bridge.types import Receive, Scope, Send


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the scope of the request."""
    if scope["type"] != "http":
        raise NotImplementedError(f"unsupported scope type: {scope['type']}")
    body = json.dumps(readable(scope), indent=2).encode()
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def readable(value: Any) -> Any:
    """Convert a value for JSON: bytes to latin-1 text, other unsupported types to their repr."""
    if isinstance(value, Mapping):
        return {str(key): readable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [readable(each) for each in value]
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value if isinstance(value, str | int | float | None) else repr(value)


wsgi_app = bridge.to_wsgi(app)
