"""A JSON API, routed by hand: 200, 201, 400, 404, 405, 413.

::

    uvicorn json_api:app
    gunicorn json_api:wsgi_app

    curl http://127.0.0.1:8000/boats
    curl http://127.0.0.1:8000/boats --json '{"name": "Skylark"}'
    curl http://127.0.0.1:8000/boats/2
"""

from __future__ import annotations

import json
from typing import Any

import bridge
from bridge.types import Receive, Scope, Send

MAX_BODY_BYTES = 64 * 1024

boats = {1: {"id": 1, "name": "Heron"}}
"""In memory: each process has its own. The event loop is one thread, so no lock is needed."""


class Refused(Exception):
    """An error response: a status and the reason."""

    def __init__(self, status: int, reason: str, headers: list[tuple[bytes, bytes]] | None = None):
        super().__init__(reason)
        self.status = status
        self.headers = headers or []


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer in JSON, errors included."""
    if scope["type"] != "http":
        raise NotImplementedError(f"unsupported scope type: {scope['type']}")
    try:
        status, content, headers = await route(scope, receive)
    except Refused as refused:
        status, content, headers = refused.status, {"error": str(refused)}, refused.headers
    body = json.dumps(content).encode() + b"\n"
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def route(scope: Scope, receive: Receive) -> tuple[int, Any, list[tuple[bytes, bytes]]]:
    """Return status, content and additional headers for a request."""
    root = scope.get("root_path", "")
    match scope["method"], scope["path"].removeprefix(root).strip("/").split("/"):
        case "GET" | "HEAD", ["boats"]:
            return 200, {"boats": list(boats.values())}, []
        case "POST", ["boats"]:
            boat = add(await json_body(receive))
            return 201, boat, [(b"location", f"{root}/boats/{boat['id']}".encode())]
        case "GET" | "HEAD", ["boats", number] if number.isdecimal() and int(number) in boats:
            return 200, boats[int(number)], []
        case _, ["boats"]:
            raise Refused(405, "This takes GET and POST.", [(b"allow", b"GET, HEAD, POST")])
        case _, ["boats", number]:
            raise Refused(404, f"There is no boat {number}. GET {root}/boats lists them.")
    raise Refused(404, f"There is nothing here. Try {root}/boats.")


def add(given: Any) -> dict[str, Any]:
    """Add a boat to the list."""
    name = given.get("name") if isinstance(given, dict) else None
    if not isinstance(name, str) or not name.strip():
        raise Refused(400, 'A boat is an object with a name, such as {"name": "Skylark"}.')
    boat = {"id": max(boats) + 1, "name": name.strip()}
    boats[boat["id"]] = boat
    return boat


async def json_body(receive: Receive) -> Any:
    """Read the request body, which may arrive in many messages, and parse it."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "The body is incomplete.")
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MAX_BODY_BYTES:
            raise Refused(413, f"The body may have at most {MAX_BODY_BYTES} bytes.")
    try:
        return json.loads(body)
    except ValueError as error:
        raise Refused(400, f"The body is not JSON: {error}") from None


wsgi_app = bridge.to_wsgi(app)
