"""Four apps in one process: Flask, FastAPI, Starlette with WebSockets, and Django.

::

    uvicorn main:app                        everything
    gunicorn main:app -k gthread            the same object, the chat included

=========  =====================  =========  ====================================================
prefix     app                    interface  purpose
=========  =====================  =========  ====================================================
``/``      ``../flask_app``       WSGI       the harbour office, unmodified
``/api``   this file              ASGI       its JSON API, reimplemented with FastAPI
``/ws``    this file              ASGI       the control room: a page, and a chat over WebSocket
``/shop``  ``../django_site``     both       the shop: WSGI for HTTP, ASGI for its WebSockets
=========  =====================  =========  ====================================================

The apps share one process, so they communicate through function calls. An entry written through
FastAPI is in Flask's log book, on Flask's live board and in the chat; an order saved by Django is
in the chat. The chat belongs to the event loop. Code on other threads calls :meth:`Room.announce`.

The shop needs a database: ``python ../django_site/manage.py migrate``, then ``seed``.
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
    """The members and messages of the chat. Used only on the event loop, so no lock is needed."""

    def __init__(self) -> None:
        self.members: dict[Queue[str], str] = {}
        self.history: deque[dict[str, str]] = deque(maxlen=50)
        self.loop: AbstractEventLoop | None = None

    def announce(self, name: str, text: str) -> None:
        """Post a message from any thread: Flask's, Django's, FastAPI's."""
        loop = self.loop
        if loop is not None:
            loop.call_soon_threadsafe(self.post, name, text)

    def post(self, name: str, text: str) -> None:
        """Send a message to all members, and keep it for those who join later."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        message = {"kind": "message", "id": uuid.uuid4().hex, "name": name, "text": text, "at": at}
        self.history.append(message)
        self._broadcast(message)

    def join(self, name: str) -> Queue[str]:
        """Add a member. The queue returned holds the messages to send to it."""
        outbox: Queue[str] = Queue(100)
        for message in self.history:
            outbox.put_nowait(json.dumps(message))
        self.members[outbox] = name.strip()[:40] or "Guest"
        self._broadcast_members()
        return outbox

    def remove(self, outbox: Queue[str]) -> None:
        """Remove a member."""
        del self.members[outbox]
        self._broadcast_members()

    def _broadcast_members(self) -> None:
        self._broadcast({"kind": "members", "names": sorted(self.members.values())})

    def _broadcast(self, message: object) -> None:
        text = json.dumps(message)
        for outbox in self.members:
            if outbox.full():  # a slow client loses its oldest message and delays nobody else
                outbox.get_nowait()
            outbox.put_nowait(text)


room = Room()


async def serve_member(socket: WebSocket) -> None:
    """One connection to the chat. The client sends text and receives JSON."""
    await socket.accept()
    outbox = room.join(socket.query_params.get("name", ""))
    sending = asyncio.create_task(send_outbox(outbox, socket))
    try:
        while (message := await socket.receive())["type"] != "websocket.disconnect":
            text = (message.get("text") or "").strip()[:500]
            if text:
                room.post(room.members[outbox], text)
    finally:
        sending.cancel()
        room.remove(outbox)


async def send_outbox(outbox: Queue[str], socket: WebSocket) -> None:
    """Send messages as fast as the client reads them, until it disconnects."""
    with suppress(WebSocketDisconnect):
        while True:
            await socket.send_text(await outbox.get())


async def room_page(request: Request) -> HTMLResponse:
    """The control room."""
    return page("room.html", request)


async def history(request: Request) -> JSONResponse:
    """The latest messages, for a page without a WebSocket."""
    return JSONResponse(list(room.history))


async def about_chat(request: Request) -> JSONResponse:
    """The path of this request, and where it is handled."""
    return JSONResponse(trace(request, f"Starlette {starlette.__version__}"))


async def script(request: Request) -> FileResponse:
    """The page's scripts and styles; those of the chat belong to the tour."""
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
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """The Router runs this on the event loop of the WebSockets."""
    room.loop = asyncio.get_running_loop()
    yield
    room.loop = None


chat = Starlette(
    routes=[
        Route("/", room_page),
        Route("/history", history),
        Route("/about", about_chat),
        Route("/{name}", script),
        WebSocketRoute("/socket", serve_member),
    ],
    lifespan=lifespan,
)

# -- Flask at /: unchanged, except that its live board also posts to the chat ----------------------

os.environ.setdefault("FLASK_SHOP_URL", "/shop/")
os.environ.setdefault("FLASK_ROOM_URL", "/ws/")
os.environ.setdefault("OFFICE_URL", "/")
sys.path[:0] = [str(EXAMPLES / "flask_app"), str(EXAMPLES / "django_site")]

from harbour.live import Board  # noqa: E402  # after the path to it
from wsgi import app as office  # noqa: E402


class BoardAndChat(Board):
    """The office's live board, which also posts new log book entries to the chat."""

    def publish(self, event: str, data: object) -> None:
        """Called on worker threads."""
        super().publish(event, data)
        if event == "entry" and isinstance(data, dict):
            room.announce(data["author"], f"wrote into the log book: {data['text']}")


office.extensions["board"] = BoardAndChat()

# -- FastAPI at /api: the office's API, reimplemented ----------------------------------------------

api = FastAPI(title="Harbour Office", version="2")


class NewEntry(BaseModel):
    """The body of a request that adds an entry."""

    author: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


@api.get("/", include_in_schema=False)
def api_page(request: Request) -> HTMLResponse:
    """The manual of the API, with a form to try it."""
    return page("api.html", request)


@api.get("/about")
def about_api(request: Request) -> dict[str, Any]:
    """The path of this request, and where it is handled."""
    return trace(request, f"FastAPI {fastapi.__version__}")


@api.get("/log")
def entries() -> dict[str, Any]:
    """The newest entries of the log book, newest first."""
    return {"entries": [asdict(entry) for entry in office.extensions["logbook"].latest()]}


@api.post("/log", status_code=201)
def write(new: NewEntry, request: Request, response: fastapi.Response) -> dict[str, Any]:
    """Add an entry to Flask's log book. It also appears on the live board and in the chat."""
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
    """Delete an entry."""
    if not office.extensions["logbook"].remove(number):
        raise HTTPException(404, f"There is no entry {number} in the log book.")


# -- Django at /shop: unchanged; a signal posts to the chat ----------------------------------------

from config.asgi import application as shop_sockets  # noqa: E402  # after the path to it
from config.wsgi import application as shop  # noqa: E402
from django.db import transaction  # noqa: E402
from django.db.models.signals import post_save  # noqa: E402
from shop.models import Order  # noqa: E402  # after Django has loaded its apps


def order_saved(instance: Order, created: bool, **other: Any) -> None:
    """Called on the thread that saves; announces the order when it is committed."""
    if created:
        text = f"has a new order, {instance.short_number}"
        transaction.on_commit(lambda: room.announce("The shop", text))


post_save.connect(order_saved, sender=Order)

# -- Used by both pages above ----------------------------------------------------------------------


def page(name: str, request: HTTPConnection) -> HTMLResponse:
    """A page, with the interface of the server filled in."""
    text = (PAGES / name).read_text("utf-8").replace("{{ server }}", server_of(request))
    return HTMLResponse(text, headers={"Content-Security-Policy": "default-src 'self'"})


def trace(request: HTTPConnection, framework: str) -> dict[str, Any]:
    """The path of a request, in the form that Flask and Django show at the foot of each page."""
    server = "ASGI server" if server_of(request) == "asgi" else "WSGI server → bridge.to_wsgi"
    thread = threading.current_thread().name
    return {"path": f"{server} → {framework}", "thread": thread, "pid": os.getpid()}


def server_of(request: HTTPConnection) -> str:
    """``asgi`` or ``wsgi``: ``bridge.to_wsgi`` puts the environ into the scope."""
    return "wsgi" if "wsgi_environ" in request.scope else "asgi"


# -- All of them in one Router ---------------------------------------------------------------------

app = bridge.Router(
    {
        "/": office,
        "/api": api,
        "/ws": chat,
        "/shop": bridge.Mount(http=shop, websocket=shop_sockets),
    }
)
