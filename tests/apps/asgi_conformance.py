"""One ASGI app with a path for everything that the ASGI HTTP spec lets an app do.

What enters: an ``http`` scope; the query string says what to do and how often. What leaves:
responses, and reports to the test over ``tests.harness.control``.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async

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
    """A scope's value as JSON can have it."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return value if isinstance(value, (str, int, float, bool, type(None))) else repr(value)


@route("/echo")
async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """The scope as JSON, and where this runs."""
    keys = sorted(scope)
    scope = {key: value for key, value in scope.items() if key != "wsgi_environ"}
    await as_json(send, {"scope": plain(scope), "keys": keys, **where()})


# -- bodies ----------------------------------------------------------------------------------------


@route("/upload")
async def upload(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body; reports ``first`` when some of it is there, and how it all ended."""
    digest, size, kinds = hashlib.sha256(), 0, list[str]()
    key = query(scope).get("key")
    going_on = True
    while going_on:
        message = await receive()
        data = message.get("body", b"")
        digest.update(data)
        if key and data and not size:
            await report(key, "first", size=len(data))
        size += len(data)
        kinds = [*kinds, message["type"]][-3:]
        going_on = message.get("more_body", False)
    facts = {"length": size, "sha256": digest.hexdigest(), "kinds": kinds}
    if key:
        await report(key, "read", **facts)
    if kinds[-1] == "http.request":
        await as_json(send, facts)


@route("/duplex")
async def duplex(scope: Scope, receive: Receive, send: Send) -> None:
    """Each piece of the body comes back at once, in upper case."""
    await start(send)
    going_on = True
    while going_on:
        message = await receive()
        await more(send, message.get("body", b"").upper())
        going_on = message.get("more_body", False)
    await end(send)


@route("/unread")
async def unread(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, b"not interested", status=413)


# -- responses -------------------------------------------------------------------------------------


@route("/head")
async def head(scope: Scope, receive: Receive, send: Send) -> None:
    """The status and headers that the query asks for."""
    asked = json.loads(query(scope)["headers"])
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in asked]
    await start(send, [*PLAIN, *headers], int(query(scope).get("status", "200")))
    await end(send, b"body")


@route("/stream")
async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    """``count`` chunks, each made only when its gate ``chunk`` is passed."""
    asked = query(scope)
    await start(send)
    for number in range(int(asked.get("count", "3"))):
        await gate(asked["key"], "chunk")
        await more(send, f"chunk {number};".encode())
    await end(send)


@route("/large")
async def large(scope: Scope, receive: Receive, send: Send) -> None:
    """``blocks`` of 64 KiB; reports ``progress`` every 16."""
    asked = query(scope)
    await start(send)
    try:
        for number in range(int(asked["blocks"])):
            await more(send, BLOCK)
            if "key" in asked and number % 16 == 15:
                await report(asked["key"], "progress", blocks=number + 1)
        await end(send)
    finally:
        if "key" in asked:
            await report(asked["key"], "ended")


@route("/endless")
async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    """Server-sent events until the client leaves; reports ``started`` and ``closed``."""
    key = query(scope)["key"]
    await start(send, EVENTS)
    await more(send, b"data: first\n\n")
    await report(key, "started", **where())
    why = "?"
    try:
        while True:
            await more(send, b"data: tick\n\n")
            await asyncio.sleep(0.02)  # the app's work, not a synchronisation
    except BaseException as error:
        why = type(error).__name__
        raise
    finally:
        await report(key, "closed", why=why, **where())


@route("/endless/listening")
async def endless_listening(scope: Scope, receive: Receive, send: Send) -> None:
    """The same, ended by ``http.disconnect`` as frameworks before ASGI 2.4 do it."""
    key = query(scope)["key"]
    await start(send, EVENTS)
    await more(send, b"data: first\n\n")
    await report(key, "started", **where())
    listening = asyncio.ensure_future(listen(receive))
    try:
        while not listening.done():
            await more(send, b"data: tick\n\n")
            await asyncio.sleep(0.02)
    except OSError:
        await listening
    await report(key, "closed", why=listening.result())


async def listen(receive: Receive) -> str:
    while (message := await receive())["type"] == "http.request":
        pass
    return str(message["type"])


@route("/silent")
async def silent(scope: Scope, receive: Receive, send: Send) -> None:
    """One event, and then it waits for something that never comes."""
    key = query(scope)["key"]
    await start(send, EVENTS)
    await more(send, b"data: first\n\n")
    try:
        await report(key, "started")  # the cancellation may come before this returns
        await asyncio.Event().wait()
    finally:
        await report(key, "closed")


@route("/silent/working")
async def silent_working(scope: Scope, receive: Receive, send: Send) -> None:
    """One event, and then it asks again and again for what never comes, as with Django's ORM."""
    key = query(scope)["key"]
    await start(send, EVENTS)
    await more(send, b"data: first\n\n")
    try:
        await report(key, "started")
        while True:
            await sync_to_async(where)()
            await asyncio.sleep(0.05)  # the app's work, not a synchronisation
    finally:
        await report(key, "closed")


@route("/silent/listening")
async def silent_listening(scope: Scope, receive: Receive, send: Send) -> None:
    """No response before the client leaves."""
    key = query(scope)["key"]
    await report(key, "started")
    await report(key, "closed", why=await listen(receive))


def file_of(blocks: int) -> Path:
    """A file that all processes share, those of other test runs, too: whole, or not there."""
    path = Path(tempfile.gettempdir()) / f"bridge-test-file-{blocks}"
    if not path.exists() or path.stat().st_size != blocks * len(BLOCK):
        making = path.with_name(f"{path.name}-{os.getpid()}")
        making.write_bytes(BLOCK * blocks)
        making.replace(path)
    return path


@route("/file")
async def file(scope: Scope, receive: Receive, send: Send) -> None:
    """A file of ``blocks`` by its path; ``user`` is set as a context variable."""
    current_user.set(query(scope).get("user", "-"))
    blocks = int(query(scope).get("blocks", "4"))
    path = file_of(blocks)
    await start(send, [*PLAIN, (b"content-length", b"%d" % (blocks * len(BLOCK)))])
    assert "http.response.pathsend" in scope["extensions"]
    await send({"type": "http.response.pathsend", "path": str(path)})


# -- time and threads ------------------------------------------------------------------------------


@route("/hold")
async def hold(scope: Scope, receive: Receive, send: Send) -> None:
    """Inside until the gate opens."""
    await gate(query(scope)["key"], "hold")
    await as_json(send, where())


@route("/background")
async def background(scope: Scope, receive: Receive, send: Send) -> None:
    """Responds, and works on until the gate opens."""
    key = query(scope)["key"]
    await respond(send, b"accepted", status=202)
    await gate(key, "work")
    await report(key, "worked", **where())


@route("/sensitive")
async def sensitive(scope: Scope, receive: Receive, send: Send) -> None:
    """On which threads thread-sensitive and other sync code runs."""
    first = await sync_to_async(where)()
    second = await sync_to_async(where)()
    other = await sync_to_async(where, thread_sensitive=False)()
    await as_json(send, {"first": first, "second": second, "other": other, "loop": where()})


@route("/context")
async def context(scope: Scope, receive: Receive, send: Send) -> None:
    """What the request before has left, and something for the next not to find."""
    before = current_user.get()
    current_user.set(query(scope)["key"])
    await as_json(send, {"before": before})


@route("/block")
async def block(scope: Scope, receive: Receive, send: Send) -> None:
    """What nobody should do."""
    time.sleep(float(query(scope)["s"]))  # noqa: ASYNC251  # that is what it is for
    await respond(send, b"blocked")


@route("/process")
async def process(scope: Scope, receive: Receive, send: Send) -> None:
    """What this process holds: its tasks and threads, but for those of the test's line."""
    names = sorted(thread.name for thread in threading.enumerate())
    threads = [name for name in names if not name.startswith("test-line")]
    await as_json(send, {"tasks": len(asyncio.all_tasks()), "threads": threads, **where()})


# -- failing ---------------------------------------------------------------------------------------


@route("/error")
async def error(scope: Scope, receive: Receive, send: Send) -> None:
    """Raises at ``/error/before``, ``start``, ``middle`` or ``after``, as ``kind``."""
    asked = query(scope)
    step = scope["path"].rpartition("/")[2]
    kinds = {"os": OSError, "reset": ConnectionResetError, "boom": Boom}
    broken = kinds[asked.get("kind", "boom")](asked["key"])
    if step == "before":
        raise broken
    await start(send)
    if step == "middle":
        await more(send, b"first")
    if step == "after":
        await end(send, b"complete")
    await asyncio.sleep(0)
    raise broken
