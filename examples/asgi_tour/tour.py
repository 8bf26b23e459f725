"""The whole tour on one port, one app below the other's path: ``uvicorn tour:app``.

``gunicorn tour:app -k gthread`` serves the same object: a Router is an ASGI app and a WSGI app.
"""

from __future__ import annotations

import chat
import echo
import fastapi_hello
import hello
import json_api
import lifespan
import logging_and_cors
import show_scope
import ticker
import wsgi_hello
from static_files import COMMON, PAGES, send_file

import bridge
from bridge.types import Receive, Scope, Send

FILES = {**COMMON, "/": PAGES / "tour.html"}


async def index(scope: Scope, receive: Receive, send: Send) -> None:
    """A card for each app."""
    if scope["type"] != "http":
        raise NotImplementedError(f"this app speaks http, not {scope['type']}")
    await send_file(scope, send, FILES)


app = bridge.Router(
    {
        "/": index,
        "/hello": hello.app,
        "/show_scope": show_scope.app,
        "/json_api": json_api.app,
        "/echo": echo.app,
        "/chat": chat.app,
        "/logging_and_cors": logging_and_cors.app,
        "/lifespan": lifespan.app,
        "/ticker": ticker.app,
        "/fastapi_hello": fastapi_hello.app,
        "/wsgi_hello": wsgi_hello.app,
    }
)
