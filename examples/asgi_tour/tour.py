"""All apps of the tour on one port, each at its own prefix: ``uvicorn tour:app``.

``gunicorn tour:app -k gthread`` serves the same object: a Router is both an ASGI and a WSGI app.
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
    """The page that links to each app."""
    if scope["type"] != "http":
        raise NotImplementedError(f"unsupported scope type: {scope['type']}")
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
