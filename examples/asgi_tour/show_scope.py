"""What a server tells an app about a request: the scope, as JSON.

::

    uvicorn show_scope:app
    gunicorn show_scope:wsgi_app

Ask both for the same address, and compare. Through the bridge there is one key more,
``wsgi_environ``: what the WSGI server said, from which the rest was made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import bridge
from bridge.types import Receive, Scope, Send


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the scope of the request itself."""
    if scope["type"] != "http":
        raise NotImplementedError(f"this app speaks http, not {scope['type']}")
    body = json.dumps(readable(scope), indent=2).encode()
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def readable(value: Any) -> Any:
    """The value in JSON's terms: bytes as latin-1 text, what JSON has no word for as its repr."""
    if isinstance(value, Mapping):
        return {str(key): readable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [readable(each) for each in value]
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value if isinstance(value, str | int | float | None) else repr(value)


wsgi_app = bridge.to_wsgi(app)
