"""Four apps in one process: Flask, FastAPI, Starlette with WebSockets, and Django. One file.

::

    uvicorn main:app                        all of it
    gunicorn main:app -k gthread            the same object; a WebSocket gets 426

=========  =====================  =========  ====================================================
mounted    app                    interface  what it is here
=========  =====================  =========  ====================================================
``/``      ``../flask_app``       WSGI       the harbour office, as it always was
``/api``   below                  ASGI       its JSON API, written anew with FastAPI
``/ws``    below                  ASGI       the control room: a page, and a chat over WebSocket
``/shop``  ``../django_site``     both       the shop; WSGI for HTTP, ASGI for its WebSockets
=========  =====================  =========  ====================================================

They talk to each other as code in one process does, by calling functions. An entry that FastAPI
writes is in Flask's log book, on Flask's live board and in the chat; an order that Django saves is
in the chat, too. The one thing to know is that the chat belongs to the event loop, and all others
run on threads: they call :meth:`Room.announce`.

The shop needs its database once: ``python ../django_site/manage.py migrate``, and ``seed``.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import uuid
from asyncio import AbstractEventLoop, Queue
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import fastapi
import starlette
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, StringConstraints
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

import bridge

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent
PAGES = HERE / "pages"
TOUR_PAGES = EXAMPLES / "asgi_tour" / "pages"

# -- Starlette at /ws: the chat --------------------------------------------------------------------


class Room:
    """Who is in the chat, and what was said. Belongs to the event loop; no lock is needed there."""

    def __init__(self) -> None:
        self.people: dict[Queue[str], str] = {}
        self.said: deque[dict[str, str]] = deque(maxlen=50)
        self.loop: AbstractEventLoop | None = None

    def announce(self, name: str, text: str) -> None:
        """Say something from any thread: Flask's, Django's, FastAPI's."""
        loop = self.loop
        if loop is not None:
            loop.call_soon_threadsafe(self.say, name, text)

    def say(self, name: str, text: str) -> None:
        """Tell everyone, and remember it for who comes later."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        words = {"kind": "said", "id": uuid.uuid4().hex, "name": name, "text": text, "at": at}
        self.said.append(words)
        self._tell(words)

    def enter(self, name: str) -> Queue[str]:
        """Come in. What the room has to say to somebody new is in the queue."""
        outbox: Queue[str] = Queue(100)
        for words in self.said:
            outbox.put_nowait(json.dumps(words))
        self.people[outbox] = name.strip()[:40] or "Somebody"
        self._tell_who_is_there()
        return outbox

    def leave(self, outbox: Queue[str]) -> None:
        """Go."""
        del self.people[outbox]
        self._tell_who_is_there()

    def _tell_who_is_there(self) -> None:
        self._tell({"kind": "people", "names": sorted(self.people.values())})

    def _tell(self, message: object) -> None:
        text = json.dumps(message)
        for outbox in self.people:
            if outbox.full():  # whoever reads too slowly misses the oldest, and holds up nobody
                outbox.get_nowait()
            outbox.put_nowait(text)


room = Room()


async def talk(socket: WebSocket) -> None:
    """One visit to the chat. The client sends what it says, and gets JSON."""
    await socket.accept()
    outbox = room.enter(socket.query_params.get("name", ""))
    delivery = asyncio.create_task(deliver(outbox, socket))
    try:
        while (message := await socket.receive())["type"] != "websocket.disconnect":
            text = (message.get("text") or "").strip()[:500]
            if text:
                room.say(room.people[outbox], text)
    finally:
        delivery.cancel()
        room.leave(outbox)


async def deliver(outbox: Queue[str], socket: WebSocket) -> None:
    """Send as fast as the other side reads, until it is gone."""
    with suppress(WebSocketDisconnect):
        while True:
            await socket.send_text(await outbox.get())


async def room_page(request: Request) -> HTMLResponse:
    """The control room."""
    return page("room.html", request)


async def said(request: Request) -> JSONResponse:
    """What was said, for a page that has no WebSocket."""
    return JSONResponse(list(room.said))


async def about_chat(request: Request) -> JSONResponse:
    """How this request came in, and where it is handled."""
    return JSONResponse(way(request, f"Starlette {starlette.__version__}"))


async def script(request: Request) -> FileResponse:
    """The page's scripts and styles; the chat's are those of the tour."""
    path = SCRIPTS.get(request.path_params["name"])
    if path is None:
        raise HTTPException(404)
    return FileResponse(path)


SCRIPTS = {
    "room.js": PAGES / "room.js",
    "chat.js": TOUR_PAGES / "chat.js",
    "tour.css": TOUR_PAGES / "tour.css",
}


@asynccontextmanager
async def room_is_open(app: Starlette) -> AsyncIterator[None]:
    """The Router runs this on the loop that the sockets will be on."""
    room.loop = asyncio.get_running_loop()
    yield
    room.loop = None


chat = Starlette(
    routes=[
        Route("/", room_page),
        Route("/said", said),
        Route("/about", about_chat),
        Route("/{name}", script),
        WebSocketRoute("/socket", talk),
    ],
    lifespan=room_is_open,
)

# -- Flask at /: unchanged, but for whom its live board tells --------------------------------------

os.environ.setdefault("FLASK_SHOP_URL", "/shop/")
os.environ.setdefault("FLASK_ROOM_URL", "/ws/")
os.environ.setdefault("OFFICE_URL", "/")
sys.path[:0] = [str(EXAMPLES / "flask_app"), str(EXAMPLES / "django_site")]

from harbour.live import Board  # noqa: E402  # after the path to it
from wsgi import app as office  # noqa: E402


class BoardAndChat(Board):
    """The office's live board; what is new in the log book is in the chat as well."""

    def publish(self, event: str, data: object) -> None:
        """Called on any worker thread."""
        super().publish(event, data)
        if event == "entry" and isinstance(data, dict):
            room.announce(data["author"], f"wrote into the log book: {data['text']}")


office.extensions["board"] = BoardAndChat()

# -- FastAPI at /api: the office's API, in its second life -----------------------------------------

api = FastAPI(title="Harbour Office", version="2")


class NewEntry(BaseModel):
    """What somebody wants to write."""

    author: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


@api.get("/", include_in_schema=False)
def api_page(request: Request) -> HTMLResponse:
    """How to use it, with a button that tries it."""
    return page("api.html", request)


@api.get("/about")
def about_api(request: Request) -> dict[str, Any]:
    """How this request came in, and where it is handled."""
    return way(request, f"FastAPI {fastapi.__version__}")


@api.get("/log")
def entries() -> dict[str, Any]:
    """The newest entries of the log book, newest first."""
    return {"entries": [asdict(entry) for entry in office.extensions["logbook"].latest()]}


@api.post("/log", status_code=201)
def write(new: NewEntry, request: Request, response: fastapi.Response) -> dict[str, Any]:
    """Write an entry: it is in Flask's log book, on its live board, and in the chat."""
    entry = asdict(office.extensions["logbook"].add(new.author, new.text))
    office.extensions["board"].publish("entry", entry)
    response.headers["location"] = str(request.url_for("one", number=entry["id"]))
    return entry


@api.get("/log/{number}")
def one(number: int) -> dict[str, Any]:
    """One entry."""
    entry = office.extensions["logbook"].get(number)
    if entry is None:
        raise HTTPException(404, f"There is no entry {number} in the log book.")
    return asdict(entry)


@api.delete("/log/{number}", status_code=204)
def remove(number: int) -> None:
    """Take an entry out."""
    if not office.extensions["logbook"].remove(number):
        raise HTTPException(404, f"There is no entry {number} in the log book.")


# -- Django at /shop: unchanged; a signal tells the chat -------------------------------------------

from config.asgi import application as shop_sockets  # noqa: E402  # after the path to it
from config.wsgi import application as shop  # noqa: E402
from django.db import transaction  # noqa: E402
from django.db.models.signals import post_save  # noqa: E402
from shop.models import Order  # noqa: E402  # only now are the apps loaded


def order_saved(instance: Order, created: bool, **other: Any) -> None:
    """Called on the thread that saves, and heard once that has been committed."""
    if created:
        words = f"has a new order, {instance.short_number}"
        transaction.on_commit(lambda: room.announce("The shop", words))


post_save.connect(order_saved, sender=Order)

# -- What the two pages above have in common -------------------------------------------------------


def page(name: str, request: HTTPConnection) -> HTMLResponse:
    """A page that knows how it is served."""
    text = (PAGES / name).read_text("utf-8").replace("{{ server }}", server_of(request))
    return HTMLResponse(text, headers={"Content-Security-Policy": "default-src 'self'"})


def way(request: HTTPConnection, framework: str) -> dict[str, Any]:
    """How a request came in, in the words that the other two have at the foot of each page."""
    server = "ASGI server" if server_of(request) == "asgi" else "WSGI server → bridge.to_wsgi"
    thread = threading.current_thread().name
    return {"way": f"{server} → {framework}", "thread": thread, "pid": os.getpid()}


def server_of(request: HTTPConnection) -> str:
    """``asgi`` or ``wsgi``: the bridge leaves the environ in a scope that it has made of one."""
    return "wsgi" if "wsgi_environ" in request.scope else "asgi"


# -- And all of it in one --------------------------------------------------------------------------

app = bridge.Router(
    {
        "/": office,
        "/api": api,
        "/ws": chat,
        "/shop": bridge.Mount(http=shop, websocket=shop_sockets),
    }
)
