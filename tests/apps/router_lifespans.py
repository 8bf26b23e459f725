"""A WSGI app at ``/`` and two ASGI apps with lifespans at ``/one/`` and ``/two/``.

The ASGI apps log lines such as ``lifespan of two: up, pid 7`` on stderr, and respond with
``root_path`` and state. ``BRIDGE_TEST_FAILS`` names an app whose startup fails,
``BRIDGE_TEST_HANGS`` one whose startup never ends, ``BRIDGE_TEST_FAILS_TO_STOP`` one whose shutdown
fails.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import bridge
from bridge.types import Environ, StartResponse


def log(line: str) -> None:
    os.write(2, f"{line}, pid {os.getpid()}\n".encode())  # one write: processes share the log


def site(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"site at {environ['SCRIPT_NAME']}".encode()]


def app_with_lifespan(name: str) -> Starlette:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
        if os.environ.get("BRIDGE_TEST_FAILS") == name:
            raise RuntimeError(f"{name} has no database")
        if os.environ.get("BRIDGE_TEST_HANGS") == name:
            await asyncio.Event().wait()
        log(f"lifespan of {name}: up")
        yield {name: "up"}
        log(f"lifespan of {name}: down")
        if os.environ.get("BRIDGE_TEST_FAILS_TO_STOP") == name:
            raise RuntimeError(f"{name} cannot stop")

    async def show(request: Request) -> JSONResponse:
        state = {key: value for key, value in request.scope["state"].items() if value == "up"}
        return JSONResponse({"root_path": request.scope["root_path"], "state": state})

    return Starlette(lifespan=lifespan, routes=[Route("/", show)])


app = bridge.Router(
    {"/": site, "/one": app_with_lifespan("one"), "/two": app_with_lifespan("two")},
    startup_timeout_s=2,
)
single = bridge.universal(app_with_lifespan("one"), startup_timeout_s=2)
