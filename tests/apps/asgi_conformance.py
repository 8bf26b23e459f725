"""An ASGI app with a route for everything that the ASGI HTTP spec allows an app to do.

Input: an ``http`` scope, whose query string has the parameters. Output: responses, and reports to
the test through ``tests.harness.control``.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async

from bridge.types import RawHeaders, Receive, Scope, Send
from tests.apps.asgi_routes import (
    PLAIN,
    Boom,
    as_json,
    current_user,
    dispatch,
    end,
    gate,
    more,
    query,
    report,
    respond,
    route,
    start,
    where,
)

BLOCK = bytes(range(256)) * 256  # 64 KiB
EVENTS: RawHeaders = [(b"content-type", b"text/event-stream")]

http_app = dispatch


@route("/")
async def ready(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, b"ready")


def plain(value: Any) -> Any:
    """Convert a value of a scope to JSON types."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return value if isinstance(value, (str, int, float, bool, type(None))) else repr(value)


@route("/echo")
async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """The scope, process and thread as JSON."""
    keys = sorted(scope)
    scope = {key: value for key, value in scope.items() if key != "wsgi_environ"}
    await as_json(send, {"scope": plain(scope), "keys": keys, **where()})


# -- bodies ----------------------------------------------------------------------------------------


@route("/upload")
async def upload(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body. Reports ``first`` at its first bytes, and ``read`` at its end."""
    digest, size, kinds = hashlib.sha256(), 0, list[str]()
    key = query(scope).get("key")
    more_body = True
    while more_body:
        message = await receive()
        data = message.get("body", b"")
        digest.update(data)
        if key and data and not size:
            await report(key, "first", size=len(data))
        size += len(data)
        kinds = [*kinds, message["type"]][-3:]
        more_body = message.get("more_body", False)
    facts = {"length": size, "sha256": digest.hexdigest(), "kinds": kinds}
    if key:
        await report(key, "read", **facts)
    if kinds[-1] == "http.request":
        await as_json(send, facts)


@route("/upload/any")
async def upload_any(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body, and responds even if it is cut short."""
    while (message := await receive())["type"] == "http.request" and message["more_body"]:
        pass
    await respond(send, str(message["type"]).encode())


@route("/duplex")
async def duplex(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends each part of the body back at once, in upper case."""
    await start(send)
    more_body = True
    while more_body:
        message = await receive()
        await more(send, message.get("body", b"").upper())
        more_body = message.get("more_body", False)
    await end(send)


@route("/unread")
async def unread(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, b"too large", status=413)


# -- responses -------------------------------------------------------------------------------------


@route("/head")
async def head(scope: Scope, receive: Receive, send: Send) -> None:
    """Responds with the status and headers of the query string."""
    pairs = json.loads(query(scope)["headers"])
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
    await start(send, [*PLAIN, *headers], int(query(scope).get("status", "200")))
    await end(send, b"body")


@route("/stream")
async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends ``count`` chunks, each after passing the gate ``chunk``."""
    params = query(scope)
    await start(send)
    for number in range(int(params.get("count", "3"))):
        await gate(params["key"], "chunk")
        await more(send, f"chunk {number};".encode())
    await end(send)


@route("/large")
async def large(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends ``blocks`` of 64 KiB. Reports ``progress`` every 16 blocks."""
    params = query(scope)
    await start(send)
    try:
        for number in range(int(params["blocks"])):
            await more(send, BLOCK)
            if "key" in params and number % 16 == 15:
                await report(params["key"], "progress", blocks=number + 1)
        await end(send)
    finally:
        if "key" in params:
            await report(params["key"], "ended")


@route("/large/sync")
async def large_in_sync_code(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends ``blocks`` of 64 KiB from sync code."""

    def send_all() -> None:
        for _ in range(int(query(scope)["blocks"])):
            async_to_sync(more)(send, BLOCK)

    await start(send)
    await sync_to_async(send_all)()
    await end(send)


@route("/endless/sync")
async def endless_in_sync_code(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends events from sync code until the client disconnects. Reports ``closed``."""
    key = query(scope)["key"]

    def send_all() -> None:
        while True:
            async_to_sync(more)(send, b"data: tick\n\n")
            time.sleep(0.02)  # simulates work; not used for synchronisation

    await start(send, EVENTS)
    reason = "?"
    try:
        await sync_to_async(send_all)()
    except BaseException as error:
        reason = type(error).__name__
        raise
    finally:
        await report(key, "closed", reason=reason, **where())


@route("/endless")
async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends events until the client disconnects. Reports ``started`` and ``closed``."""
    key = query(scope)["key"]
    await start(send, EVENTS)
    await more(send, b"data: first\n\n")
    await report(key, "started", **where())
    reason = "?"
    try:
        while True:
            await more(send, b"data: tick\n\n")
            await asyncio.sleep(0.02)  # simulates work; not used for synchronisation
    except BaseException as error:
        reason = type(error).__name__
        raise
    finally:
        await report(key, "closed", reason=reason, **where())


@route("/endless/listening")
async def endless_listening(scope: Scope, receive: Receive, send: Send) -> None:
    """The same, but ends at ``http.disconnect``, like frameworks before ASGI 2.4."""
    key = query(scope)["key"]
    await start(send, EVENTS)
    await more(send, b"data: first\n\n")
    await report(key, "started", **where())
    listener = asyncio.ensure_future(listen(receive))
    try:
        while not listener.done():
            await more(send, b"data: tick\n\n")
            await asyncio.sleep(0.02)
    except OSError:
        await listener
    await report(key, "closed", reason=listener.result())


async def listen(receive: Receive) -> str:
    while (message := await receive())["type"] == "http.request":
        pass
    return str(message["type"])


@route("/silent")
async def silent(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends one event and then waits forever."""
    key = query(scope)["key"]
    await start(send, EVENTS)
    await more(send, b"data: first\n\n")
    try:
        await report(key, "started")  # the app may be cancelled before this returns
        await asyncio.Event().wait()
    finally:
        await report(key, "closed")


@route("/silent/working")
async def silent_working(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends one event and then runs thread-sensitive code in a loop, like polling Django's ORM."""
    key = query(scope)["key"]
    await start(send, EVENTS)
    await more(send, b"data: first\n\n")
    try:
        await report(key, "started")
        while True:
            await sync_to_async(where)()
            await asyncio.sleep(0.05)  # simulates work; not used for synchronisation
    finally:
        await report(key, "closed")


@route("/silent/listening")
async def silent_listening(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends no response before the client disconnects."""
    key = query(scope)["key"]
    await report(key, "started")
    await report(key, "closed", reason=await listen(receive))


def file_of(blocks: int) -> Path:
    """A complete file, shared by all processes and test runs."""
    path = Path(tempfile.gettempdir()) / f"bridge-test-file-{blocks}"
    if not path.exists() or path.stat().st_size != blocks * len(BLOCK):
        temporary = path.with_name(f"{path.name}-{os.getpid()}")
        temporary.write_bytes(BLOCK * blocks)
        temporary.replace(path)
    return path


@route("/file")
async def file(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends a file of ``blocks`` by its path, with the context variable set to ``user``."""
    current_user.set(query(scope).get("user", "-"))
    blocks = int(query(scope).get("blocks", "4"))
    path = file_of(blocks)
    await start(send, [*PLAIN, (b"content-length", b"%d" % (blocks * len(BLOCK)))])
    assert "http.response.pathsend" in scope["extensions"]
    await send({"type": "http.response.pathsend", "path": str(path)})


# -- time and threads ------------------------------------------------------------------------------


@route("/hold")
async def hold(scope: Scope, receive: Receive, send: Send) -> None:
    """Responds when the gate opens."""
    await gate(query(scope)["key"], "hold")
    await as_json(send, where())


@route("/background")
async def background(scope: Scope, receive: Receive, send: Send) -> None:
    """Responds and then works until the gate opens."""
    key = query(scope)["key"]
    await respond(send, b"accepted", status=202)
    await gate(key, "work")
    await report(key, "worked", **where())


@route("/sensitive")
async def sensitive(scope: Scope, receive: Receive, send: Send) -> None:
    """The threads of thread-sensitive and other sync code."""
    first = await sync_to_async(where)()
    second = await sync_to_async(where)()
    other = await sync_to_async(where, thread_sensitive=False)()
    await as_json(send, {"first": first, "second": second, "other": other, "loop": where()})


@route("/context")
async def context(scope: Scope, receive: Receive, send: Send) -> None:
    """The value of the context variable, which is then set to ``key``."""
    before = current_user.get()
    current_user.set(query(scope)["key"])
    await as_json(send, {"before": before})


@route("/block")
async def block(scope: Scope, receive: Receive, send: Send) -> None:
    """Blocks the event loop."""
    time.sleep(float(query(scope)["s"]))  # noqa: ASYNC251  # blocking is the purpose
    await respond(send, b"blocked")


@route("/process")
async def process(scope: Scope, receive: Receive, send: Send) -> None:
    """The tasks and threads of this process, without those of the control channel."""
    names = sorted(thread.name for thread in threading.enumerate())
    threads = [name for name in names if not name.startswith("test-channel")]
    await as_json(send, {"tasks": len(asyncio.all_tasks()), "threads": threads, **where()})


# -- failing ---------------------------------------------------------------------------------------


@route("/error")
async def error(scope: Scope, receive: Receive, send: Send) -> None:
    """Raises at ``/error/before``, ``start``, ``middle`` or ``after``, as ``kind``."""
    params = query(scope)
    step = scope["path"].rpartition("/")[2]
    kinds: dict[str, Callable[[str], BaseException]] = {
        "os": OSError,
        "reset": ConnectionResetError,
        "boom": Boom,
        "group": lambda key: BaseExceptionGroup(key, [asyncio.CancelledError()]),
    }
    broken = kinds[params.get("kind", "boom")](params["key"])
    if step == "before":
        raise broken
    await start(send)
    if step == "middle":
        await more(send, b"first")
    if step == "after":
        await end(send, b"complete")
    await asyncio.sleep(0)
    raise broken
