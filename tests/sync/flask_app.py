"""A Flask app with async views behind `to_asgi`, run by asgiref's helper and by ours."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
from flask import Flask, jsonify, request

import bridge
from bridge.types import Receive, Scope, Send

server_loop: asyncio.AbstractEventLoop
shared = httpx.AsyncClient()
"""One client for all requests, which therefore need one loop."""


def make_app() -> Flask:
    app = Flask(__name__)

    @app.get("/loop")
    async def loop() -> Any:
        running = asyncio.get_running_loop()
        return jsonify(
            is_servers=running is server_loop,
            thread=threading.current_thread().name,
            sync_thread=await bridge.sync_to_async(lambda: threading.current_thread().name)(),
        )

    @app.get("/plain")
    def plain() -> Any:
        return jsonify(thread=threading.current_thread().name)

    @app.get("/fetch")
    async def fetch() -> Any:
        answers = await asyncio.gather(
            *(shared.get(f"http://{request.host}/plain") for _ in range(3))
        )
        return jsonify(threads=[answer.json()["thread"] for answer in answers])

    @app.get("/pause")
    async def pause() -> Any:
        """Sync code in async code in sync code, which sleeps on the loop."""
        await asyncio.sleep(0.01)
        await bridge.sync_to_async(bridge.async_to_sync(asyncio.sleep))(0.01)
        return jsonify(thread=threading.current_thread().name)

    return app


def served(app: Flask) -> Any:
    inner: Any = bridge.to_asgi(app, threads=8)

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        global server_loop
        server_loop = asyncio.get_running_loop()
        await inner(scope, receive, send)

    return outer


theirs = served(make_app())

_with_ours = make_app()
_with_ours.async_to_sync = bridge.async_to_sync  # type: ignore[method-assign,assignment]  # as Flask says
ours = served(_with_ours)
