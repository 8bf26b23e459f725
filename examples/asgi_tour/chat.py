"""A chat room: what one says, everyone who is there hears.

::

    uvicorn chat:app              open http://127.0.0.1:8000/ in two tabs
    gunicorn chat:wsgi_app        the page; its WebSocket gets 426, and the page says what to do

``/`` is the page and ``/socket?name=Ada`` the WebSocket. What you send is the text that you say.
What you get is JSON::

    {"kind": "people", "names": ["Ada", "Grace"]}         whenever somebody comes or goes
    {"kind": "said", "id": "…", "name": "Ada", "text": "Ahoy", "at": "2026-01-01T08:00:00+00:00"}

Everything here runs on the event loop, so there is no lock. The room lives in one process: with two
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
OUTBOX = 100  # messages that somebody may be behind
REMEMBERED = 50  # messages that somebody who comes, or comes back, is told
LONGEST = 500  # characters of one message
LONGEST_NAME = 40


@dataclass(eq=False)
class Member:
    """Somebody in the room. Each has an outbox, so that one slow reader holds up nobody."""

    name: str
    outbox: asyncio.Queue[str] = field(default_factory=lambda: asyncio.Queue(OUTBOX))
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def leave(self) -> None:
        """End both of the tasks that hold the door open."""
        for task in self.tasks:
            task.cancel()


room: set[Member] = set()
said: deque[str] = deque(maxlen=REMEMBERED)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The page over HTTP, the room over WebSocket."""
    if scope["type"] == "http":
        await send_file(scope, send, FILES)
    elif scope["type"] == "websocket":
        await at_the_door(scope, receive, send)
    else:
        raise NotImplementedError(f"this app speaks http and websocket, not {scope['type']}")


async def at_the_door(scope: Scope, receive: Receive, send: Send) -> None:
    """Let in who comes to ``/socket``; anything else is refused, which the client sees as 403."""
    await receive()  # websocket.connect
    if path_of(scope) != "/socket":
        return await send({"type": "websocket.close"})
    await send({"type": "websocket.accept"})
    member = Member(name_in(scope))
    for text in said:
        member.outbox.put_nowait(text)
    room.add(member)
    tell_who_is_there()
    try:
        async with asyncio.TaskGroup() as both:
            coroutines = (listen(member, receive), deliver(member, send))
            member.tasks = [both.create_task(each) for each in coroutines]
    finally:
        room.discard(member)
        tell_who_is_there()


async def listen(member: Member, receive: Receive) -> None:
    """Pass on what a member says, until the member goes."""
    while (message := await receive())["type"] != "websocket.disconnect":
        text = (message.get("text") or "").strip()[:LONGEST]
        if text:
            say(member.name, text)
    member.leave()


async def deliver(member: Member, send: Send) -> None:
    """Send what is in a member's outbox, as fast as the member reads."""
    try:
        while True:
            await send({"type": "websocket.send", "text": await member.outbox.get()})
    except OSError:  # gone in the middle: the ASGI spec's word for it
        member.leave()


def say(name: str, text: str) -> None:
    """Tell everyone, and remember it for who comes later."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    words = {"kind": "said", "id": uuid.uuid4().hex, "name": name, "text": text, "at": at}
    said.append(json.dumps(words))
    tell(said[-1])


def tell_who_is_there() -> None:
    """Tell everyone the names of everyone."""
    tell(json.dumps({"kind": "people", "names": sorted(member.name for member in room)}))


def tell(text: str) -> None:
    """Put a message into every outbox. Whose is full has to leave, and may come back."""
    for member in room:
        try:
            member.outbox.put_nowait(text)
        except asyncio.QueueFull:
            member.leave()


def name_in(scope: Scope) -> str:
    """The name that the address gives."""
    names = parse_qs(scope["query_string"].decode("latin-1")).get("name", [""])
    return names[0].strip()[:LONGEST_NAME] or "Somebody"


wsgi_app = bridge.to_wsgi(app)
