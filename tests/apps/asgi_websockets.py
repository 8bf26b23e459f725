"""WebSocket endpoints of an ASGI app behind ``bridge.to_wsgi``: ``tests.apps.asgi_websockets:app``.

``BRIDGE_TEST_OPTIONS`` is a JSON object of options of the adapter. With ``?key=`` an endpoint
reports to the test.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import bridge
from bridge.types import Message, Receive, Scope, Send
from tests.apps import asgi_routes
from tests.apps.asgi_routes import gate, query, report, respond

OPTIONS: dict[str, Any] = json.loads(os.environ.get("BRIDGE_TEST_OPTIONS", "{}"))


async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
    """Chooses by the last segment of the path."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "http":
        await respond(send, b"page %d" % os.getpid())
    else:
        assert (await receive())["type"] == "websocket.connect"
        await ENDPOINTS[scope["path"].rpartition("/")[2]](scope, receive, send)


async def lifespan(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    key = os.environ.get("BRIDGE_TEST_LIFESPAN")
    if key:
        await report(key, "shutdown")
    await send({"type": "lifespan.shutdown.complete"})


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends every message back, and reports how the WebSocket has ended."""
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
    await report_end(scope, message)


async def report_end(scope: Scope, message: Message) -> None:
    key = query(scope).get("key")
    if key:
        await report(key, "end", code=message["code"], reason=message["reason"])


async def facts(scope: Scope, receive: Receive, send: Send) -> None:
    """Accepts with the last subprotocol and two cookies, and sends its scope."""
    headers = [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"x-own", b"yes")]
    chosen = scope["subprotocols"][-1] if scope["subprotocols"] else None
    await send({"type": "websocket.accept", "subprotocol": chosen, "headers": headers})
    names = ("type", "scheme", "path", "root_path", "subprotocols", "http_version", "extensions")
    seen = {name: scope[name] for name in names}
    seen["query"] = scope["query_string"].decode()
    seen["x_test"] = dict(scope["headers"]).get(b"x-test", b"").decode()
    seen["method"] = scope.get("method")
    await send({"type": "websocket.send", "text": json.dumps(seen)})
    await receive()


async def gated(scope: Scope, receive: Receive, send: Send) -> None:
    """An echo that accepts when the test opens a gate."""
    await gate(query(scope)["key"], "accept")
    await echo(scope, receive, send)


async def close(scope: Scope, receive: Receive, send: Send) -> None:
    """Closes with the code and reason of the query, and reports what it receives then."""
    await send({"type": "websocket.accept"})
    asked = query(scope)
    code = int(asked["code"])
    await send({"type": "websocket.close", "code": code, "reason": asked.get("reason", "")})
    await report_end(scope, await receive())


async def deny(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "websocket.close"})
    await report_end(scope, await receive())


async def respond_instead(scope: Scope, receive: Receive, send: Send) -> None:
    """Denies with a response, in two pieces; with ``late``, when the test opens a gate."""
    if "late" in query(scope):
        await gate(query(scope)["key"], "deny")
    headers = [(b"content-type", b"text/plain"), (b"x-own", b"yes"), (b"set-cookie", b"a=1")]
    kind = "websocket.http.response"
    await send({"type": f"{kind}.start", "status": 401, "headers": headers})
    await send({"type": f"{kind}.body", "body": b"who ", "more_body": True})
    await send({"type": f"{kind}.body", "body": b"are you"})
    await report_end(scope, await receive())


async def fail(scope: Scope, receive: Receive, send: Send) -> None:
    """Raises, before or after it accepts."""
    if "late" in query(scope):
        await gate(query(scope)["key"], "fail")
    if "open" in query(scope):
        await send({"type": "websocket.accept"})
    raise asgi_routes.Boom(query(scope)["key"])


async def leave(scope: Scope, receive: Receive, send: Send) -> None:
    """Returns, before or after it accepts."""
    if "open" in query(scope):
        await send({"type": "websocket.accept"})


async def push(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends without end, and reports after how many messages it was disconnected."""
    await send({"type": "websocket.accept"})
    count = 0
    try:
        while True:
            await send({"type": "websocket.send", "bytes": bytes(65536)})
            count += 1
            if count % 16 == 0:
                await report(query(scope)["key"], "sent", count=count)
    except OSError as error:
        await report(query(scope)["key"], "disconnected", error=type(error).__name__)


async def sleep(scope: Scope, receive: Receive, send: Send) -> None:
    """Receives nothing until the test opens a gate, then counts what has been sent."""
    await send({"type": "websocket.accept"})
    key = query(scope)["key"]
    await gate(key, "receive")
    count = 0
    while (message := await receive())["type"] == "websocket.receive":
        count += len(message.get("bytes") or message["text"])
        if message.get("text") == "end":
            await send({"type": "websocket.send", "text": str(count)})
    await report_end(scope, message)


async def hang(scope: Scope, receive: Receive, send: Send) -> None:
    """Ignores the disconnect."""
    await send({"type": "websocket.accept"})
    await asyncio.Event().wait()


async def say(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends the message that the query describes, after it has accepted."""
    await send({"type": "websocket.accept"})
    try:
        await send(json.loads(query(scope)["message"]))
    except bridge.AppProtocolError as error:
        await send({"type": "websocket.send", "text": str(error)})


async def scripted(scope: Scope, receive: Receive, send: Send) -> None:
    """Plays the app's part of a session of ``tests.harness.websocket_sessions``."""
    part = json.loads(query(scope)["part"])
    received: list[Message] = []
    try:
        if await starts(scope, part, send):
            await plays(part, received, receive, send)
    finally:
        await report(query(scope)["key"], "received", messages=readable(received))


async def starts(scope: Scope, part: dict[str, Any], send: Send) -> bool:
    """Accepts, or denies with a status or without."""
    if part["status"] == 101:
        headers = [(b"x-own", part["header"].encode())]
        accept: Message = {"type": "websocket.accept", "headers": headers}
        if part["chooses"] is not None:
            accept["subprotocol"] = scope["subprotocols"][part["chooses"]]
        await send(accept)
    elif part["status"] == 403:
        await send({"type": "websocket.close"})
    else:
        kind = "websocket.http.response"
        await send({"type": f"{kind}.start", "status": part["status"], "headers": []})
        await send({"type": f"{kind}.body", "body": part["header"].encode()})
    return bool(part["status"] == 101)


async def plays(
    part: dict[str, Any], received: list[Message], receive: Receive, send: Send
) -> None:
    """Echoes, or only listens, and does what a message asks for that starts with ``!``."""
    while True:
        message = await receive()
        received.append(message)
        if message["type"] != "websocket.receive":
            return
        text = message.get("text") or ""
        if text.startswith("!"):
            order = json.loads(text[1:])
            for each in order.get("texts", ()):
                await send({"type": "websocket.send", "text": each})
            if "close" in order:
                await send({"type": "websocket.close", **order["close"]})
                return
            if "raises" in order:
                raise asgi_routes.Boom("as the session asks")
        elif part["echoes"]:
            await send({**message, "type": "websocket.send"})


def readable(messages: list[Message]) -> list[list[object]]:
    """JSON values: of bytes, the hexadecimal digits."""
    return [
        [message["type"], message["code"], message.get("reason") or ""]
        if message["type"] == "websocket.disconnect"
        else [message["type"], message.get("text"), (message.get("bytes") or b"").hex()]
        for message in messages
    ]


ENDPOINTS = {
    each.__name__: each
    for each in (
        *(echo, facts, gated, close, deny, respond_instead),
        *(fail, leave, push, sleep, hang, say, scripted),
    )
}

app = bridge.to_wsgi(asgi, **OPTIONS)
