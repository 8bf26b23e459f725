"""A FastAPI app as users have them, with a lifespan."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, StreamingResponse

from tests.harness.control import gate, report


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
    """Report startup and shutdown to the test, if it asks for that."""
    if "CALLS" in os.environ:
        report(os.environ["CALLS"], "startup", pid=os.getpid())
    yield {"resource": "made at startup"}
    if "CALLS" in os.environ:
        report(os.environ["CALLS"], "shutdown", pid=os.getpid())


app = FastAPI(lifespan=lifespan)


@app.get("/")
async def facts(request: Request) -> dict[str, Any]:
    """Which process answered, and where the app is mounted from its own point of view."""
    return {
        "framework": "fastapi",
        "pid": os.getpid(),
        "root_path": request.scope["root_path"],
        "path": request.scope["path"],
        "url": str(request.url),
        "resource": getattr(request.state, "resource", None),
    }


@app.get("/loop")
async def loop() -> dict[str, str]:
    """The package of the event loop."""
    return {"loop": type(asyncio.get_running_loop()).__module__.partition(".")[0]}


@app.get("/gated/{key}")
async def gated(key: str) -> PlainTextResponse:
    """Respond as soon as the test opens the gate."""
    await asyncio.to_thread(gate, key, "go")
    return PlainTextResponse("finished")


@app.get("/endless/{key}")
async def endless(key: str) -> StreamingResponse:
    """Stream without an end."""
    return StreamingResponse(_ticks(key))


async def _ticks(key: str) -> AsyncIterator[bytes]:
    try:
        while True:
            yield b"tick\n"
            await asyncio.sleep(0.05)
    finally:
        report(key, "closed")


@app.get("/hang/{key}")
def hang(key: str) -> str:
    """Never return, on a thread of anyio's pool that Python joins at exit."""
    report(key, "hanging")
    threading.Event().wait()
    return "never"
