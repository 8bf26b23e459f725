"""A WSGI and an ASGI app that report what they know of the client, and of the URL."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

HEADERS = ("forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host")


def wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The facts of an environ."""
    names = {name: f"HTTP_{name.upper().replace('-', '_')}" for name in HEADERS}
    reported = {
        "client": environ.get("REMOTE_ADDR"),
        "client_port": environ.get("REMOTE_PORT"),
        "scheme": environ["wsgi.url_scheme"],
        "host": environ.get("HTTP_HOST"),
        "port": environ["SERVER_PORT"],
        "root": environ["SCRIPT_NAME"],
        "path": environ["PATH_INFO"],
        "seen": [name for name, key in names.items() if key in environ],
        "variable": os.environ.get("SITE_VARIABLE"),
    }
    body = json.dumps(reported).encode()
    start_response("200 OK", [("content-length", str(len(body)))])
    return [body]


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The facts of a scope."""
    assert scope["type"] == "http"
    client, headers = scope["client"], dict(scope["headers"])
    reported = {
        "client": client[0] if client else "",
        "client_port": str(client[1]) if client else None,
        "scheme": scope["scheme"],
        "host": headers.get(b"host", b"").decode(),
        "port": str(scope["server"][1]) if scope.get("server") else None,
        "root": scope["root_path"],
        "path": scope["path"],
        "seen": [name for name in HEADERS if name.encode() in headers],
    }
    body = json.dumps(reported).encode()
    head = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})
