"""The limit of any adapter on one interpreter: the WSGI app called on the event loop itself.

Input: a WSGI app. Output: an ASGI app that builds the same environ as bridge, calls the app and
sends one head and one body. It blocks the loop while the app runs, checks nothing and cannot
stream: use it for comparison only.
"""

from __future__ import annotations

import io
import sys
from typing import Any

from bridge.types import AsgiApp, Receive, Scope, Send, WsgiApp

__all__ = ["inline"]

_KEYS: dict[bytes, str] = {}
_FIXED = {
    "SERVER_SOFTWARE": "inline",
    "SCRIPT_NAME": "",
    "wsgi.version": (1, 0),
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
    "wsgi.input_terminated": True,
}


def inline(app: WsgiApp) -> AsgiApp:
    """Call ``app`` on the event loop."""

    async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        message = await receive()
        head: list[Any] = []

        def start_response(status: str, headers: Any, exc_info: Any = None, /) -> Any:
            head[:] = status, headers

        body = b"".join(app(_environ(scope, message), start_response))
        status, headers = head
        encoded = [(name.lower().encode(), value.encode()) for name, value in headers]
        await send({"type": "http.response.start", "status": int(status[:3]), "headers": encoded})
        await send({"type": "http.response.body", "body": body})

    return asgi


def _environ(scope: Scope, message: Any) -> dict[str, Any]:
    query = scope["query_string"].decode("latin-1")
    uri = scope["raw_path"].decode("latin-1")
    if query:
        uri = f"{uri}?{query}"
    environ: dict[str, Any] = {
        **_FIXED,
        "REQUEST_METHOD": scope["method"],
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": query,
        "RAW_URI": uri,
        "REQUEST_URI": uri,
        "SERVER_PROTOCOL": "HTTP/" + scope["http_version"],
        "SERVER_NAME": scope["server"][0],
        "SERVER_PORT": str(scope["server"][1]),
        "REMOTE_ADDR": scope["client"][0],
        "REMOTE_PORT": str(scope["client"][1]),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(message.get("body", b"")),
        "asgi.scope": scope,
    }
    for name, value in scope["headers"]:
        key = _KEYS.get(name) or _key(name)
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    return environ


def _key(name: bytes) -> str:
    key = name.decode("latin-1").upper().replace("-", "_")
    if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        key = "HTTP_" + key
    return _KEYS.setdefault(name, key)
