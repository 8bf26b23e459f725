"""A chat room: every message goes to everyone in the room.

::

    uvicorn chat:app              open http://127.0.0.1:8000/ in two tabs
    gunicorn chat:wsgi_app -k gthread --threads 8

``/`` is the page and ``/socket?name=Ada`` the WebSocket. The client sends the text of a message.
The server sends JSON::

    {"kind": "members", "names": ["Ada", "Grace"]}           when a member joins or leaves
    {"kind": "message", "id": "…", "name": "Ada", "text": "Ahoy", "at": "2026-01-01T08:00:00+00:00"}

Everything runs on the event loop, so no lock is needed. The room exists once per process: with two
workers there are two rooms.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qs

from static_files import COMMON, PAGES, path_of, send_file

import bridge
from bridge.types import Receive, Scope, Send

FILES = {**COMMON, "/": PAGES / "chat.html", "/chat.js": PAGES / "chat.js"}
OUTBOX_SIZE = 100  # messages that a member may be behind
HISTORY_SIZE = 50  # messages sent to a member who joins or reconnects
MAX_TEXT_LENGTH = 500  # characters
MAX_NAME_LENGTH = 40


@dataclass(eq=False)
class Member:
    """A connected client. Each member has an outbox, so that a slow client delays nobody else."""

    name: str
    outbox: asyncio.Queue[str] = field(default_factory=lambda: asyncio.Queue(OUTBOX_SIZE))
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def disconnect(self) -> None:
        """Cancel both tasks of the connection, which closes it."""
        for task in self.tasks:
            task.cancel()


members: set[Member] = set()
history: deque[str] = deque(maxlen=HISTORY_SIZE)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The page over HTTP, the room over WebSocket."""
    if scope["type"] == "http":
        await send_file(scope, send, FILES)
    elif scope["type"] == "websocket":
        await serve_member(scope, receive, send)
    else:
        raise NotImplementedError(f"unsupported scope type: {scope['type']}")


async def serve_member(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one WebSocket on ``/socket``. Any other path is refused, which clients see as 403."""
    await receive()  # websocket.connect
    if path_of(scope) != "/socket":
        return await send({"type": "websocket.close"})
    await send({"type": "websocket.accept"})
    member = Member(name_in(scope))
    for text in history:
        member.outbox.put_nowait(text)
    members.add(member)
    broadcast_members()
    try:
        async with asyncio.TaskGroup() as tasks:
            coroutines = (read_messages(member, receive), send_outbox(member, send))
            member.tasks = [tasks.create_task(each) for each in coroutines]
    finally:
        members.discard(member)
        broadcast_members()


async def read_messages(member: Member, receive: Receive) -> None:
    """Post what the member sends, until the client disconnects."""
    while (message := await receive())["type"] != "websocket.disconnect":
        text = (message.get("text") or "").strip()[:MAX_TEXT_LENGTH]
        if text:
            post(member.name, text)
    member.disconnect()


async def send_outbox(member: Member, send: Send) -> None:
    """Send the member's outbox, as fast as the client reads it."""
    try:
        while True:
            await send({"type": "websocket.send", "text": await member.outbox.get()})
    except OSError:  # the client has disconnected (ASGI spec, "Disconnected Client")
        member.disconnect()


def post(name: str, text: str) -> None:
    """Send a message to all members, and keep it for those who join later."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    message = {"kind": "message", "id": uuid.uuid4().hex, "name": name, "text": text, "at": at}
    history.append(json.dumps(message))
    broadcast(history[-1])


def broadcast_members() -> None:
    """Send the names of all members to all members."""
    broadcast(json.dumps({"kind": "members", "names": sorted(each.name for each in members)}))


def broadcast(text: str) -> None:
    """Put a text into every outbox. A member whose outbox is full is disconnected."""
    for member in members:
        try:
            member.outbox.put_nowait(text)
        except asyncio.QueueFull:
            member.disconnect()


def name_in(scope: Scope) -> str:
    """The name in the query string."""
    names = parse_qs(scope["query_string"].decode("latin-1")).get("name", [""])
    return names[0].strip()[:MAX_NAME_LENGTH] or "Guest"


wsgi_app = bridge.to_wsgi(app)
