"""Apps that the trials of pytest's plugins send requests to."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import fastapi
import flask
import httpx

import bridge

__all__ = ["WORD", "api", "client", "flask_app", "get", "on_asyncio", "router", "thread"]

WORD = contextvars.ContextVar("WORD", default="none")
LINES = 1000

flask_app = flask.Flask(__name__)


@flask_app.get("/word")
def word() -> str:
    return WORD.get()


@flask_app.post("/length")
def length() -> dict[str, int]:
    return {"length": len(flask.request.data)}


@flask_app.get("/lines")
def lines() -> flask.Response:
    return flask.Response(f"{number}\n" for number in range(LINES))


@asynccontextmanager
async def lifespan(app: fastapi.FastAPI) -> AsyncIterator[None]:
    app.state.loop = asyncio.get_running_loop()
    yield


def api() -> fastapi.FastAPI:
    """An app that knows whether a request runs on the loop that its lifespan runs on."""
    app = fastapi.FastAPI(lifespan=lifespan)

    @app.get("/loop")
    async def loop() -> bool:
        return app.state.loop is asyncio.get_running_loop()

    return app


def router() -> bridge.Router:
    return bridge.Router({"/": flask_app, "/api": api()}, threads=4)


def client(app: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


async def get(app: Any, path: str) -> str:
    """The text of a response with status 200."""
    async with client(app) as opened:
        response = await opened.get(path)
        return response.raise_for_status().text


async def on_asyncio() -> bool:
    """Whether it runs on an asyncio event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def thread() -> threading.Thread:
    """The thread that it is called on."""
    return threading.current_thread()
