"""Flask's hello, as a sync and as an ``async def`` view, behind each adapter.

Flask calls asgiref's ``async_to_sync``, which runs on the server's own event loop under bridge;
``with_ours`` calls `bridge.async_to_sync`, configured as Flask's documentation describes.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import a2wsgi
from flask import Flask

import bridge

THREADS = 40


def _make_app() -> Flask:
    made = Flask(__name__)

    @made.get("/")
    def hello() -> str:
        return "Hello, world!"

    @made.get("/async")
    async def later() -> str:
        await asyncio.sleep(0)
        return "Hello, world!"

    return made


app = _make_app()
with_ours = _make_app()
with_ours.async_to_sync = bridge.async_to_sync  # type: ignore[method-assign,assignment]  # documented by Flask

bridge_app = bridge.to_asgi(app, threads=THREADS)
bridge_with_ours = bridge.to_asgi(with_ours, threads=THREADS)
a2wsgi_app = a2wsgi.WSGIMiddleware(cast(Any, app), workers=THREADS)
