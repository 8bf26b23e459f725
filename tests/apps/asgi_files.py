"""Routes that send a file by its path which does not stay there, or never was."""

from __future__ import annotations

import os
import tempfile

from starlette.background import BackgroundTask
from starlette.responses import FileResponse

from bridge.types import Receive, Scope, Send
from tests.apps.asgi_routes import PLAIN, end, query, route, start

FILE_SIZE = (1 << 20) + 17


def content_of(key: str) -> bytes:
    """The content of the file of a test: ``key``, repeated."""
    data = key.encode()
    return (data * (FILE_SIZE // len(data) + 1))[:FILE_SIZE]


def make_file(key: str) -> str:
    descriptor, path = tempfile.mkstemp(prefix="bridge-test-")
    with os.fdopen(descriptor, "wb") as file:
        file.write(content_of(key))
    return path


@route("/file/deleted")
async def file_deleted(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends a temporary file and deletes it: ``by`` Starlette's background task, or by the app."""
    params = query(scope)
    path = make_file(params["key"])
    if params["by"] == "task":
        response = FileResponse(path, background=BackgroundTask(os.unlink, path))
        await response(scope, receive, send)
    else:
        await start(send, [*PLAIN, (b"content-length", b"%d" % FILE_SIZE)])
        await send({"type": "http.response.pathsend", "path": path})
        os.unlink(path)


@route("/file/missing")
async def file_missing(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends a file that is not there, and something else in its place."""
    await start(send)
    try:
        await send({"type": "http.response.pathsend", "path": "/nowhere"})
    except FileNotFoundError as error:
        await end(send, repr(error).encode())
