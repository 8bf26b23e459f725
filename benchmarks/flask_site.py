"""Flask's hello, as a sync and as an ``async def`` view, behind each of the bridges."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import a2wsgi
from flask import Flask

import bridge

THREADS = 40

app = Flask(__name__)


@app.get("/")
def hello() -> str:
    return "Hello, world!"


@app.get("/async")
async def later() -> str:
    await asyncio.sleep(0)
    return "Hello, world!"


bridge_app = bridge.to_asgi(app, threads=THREADS)
a2wsgi_app = a2wsgi.WSGIMiddleware(cast(Any, app), workers=THREADS)
