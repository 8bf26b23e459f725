"""The app of :mod:`tests.apps.asgi_frameworks` in FastAPI, with features of FastAPI."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import BackgroundTasks, Depends, FastAPI, File, Form, Request, UploadFile
from fastapi.responses import StreamingResponse

from tests.apps.asgi_frameworks import digest, parts, work
from tests.apps.asgi_routes import report


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
    yield {"greeting": "hello from FastAPI"}


app = FastAPI(lifespan=lifespan)


async def session(key: str = "") -> AsyncIterator[str]:
    """A dependency with ``yield``, closed after the request."""
    yield "session"
    if key:
        await report(key, "session closed")


@app.get("/hello")
async def hello(request: Request, opened: Annotated[str, Depends(session)]) -> dict[str, str]:
    return {"hello": request.state.greeting, "session": opened}


@app.get("/sync/{name}")
def sync(name: str) -> dict[str, str]:
    return {"hello": name}


@app.post("/echo")
async def echo(body: dict[str, Any]) -> dict[str, Any]:
    return body


@app.post("/upload")
async def upload(note: Annotated[str, Form()], file: Annotated[UploadFile, File()]) -> Any:
    return {"note": note, "name": file.filename, "sha256": digest(await file.read())}


@app.get("/stream")
async def stream(key: str) -> StreamingResponse:
    return StreamingResponse(parts(key), media_type="text/plain")


@app.post("/background", status_code=202)
async def background(key: str, tasks: BackgroundTasks) -> str:
    tasks.add_task(work, key)
    return "accepted"
