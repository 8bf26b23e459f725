"""Serves the files of the tour's pages over ASGI.

Input: a scope and a table of paths and files. Output: the file, or 404. Runs on the event loop;
each file is read once and cached.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from bridge.types import Scope, Send

HERE = Path(__file__).resolve().parent
PAGES = HERE / "pages"
THEME = HERE.parent / "theme"  # the stylesheet shared by all the examples

COMMON = {
    "/harbour.css": THEME / "harbour.css",
    "/bridge.svg": THEME / "bridge.svg",
    "/tour.css": PAGES / "tour.css",
}
TYPES = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}


def path_of(scope: Scope) -> str:
    """The path below the mount point."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


async def send_file(scope: Scope, send: Send, files: Mapping[str, Path]) -> None:
    """Answer with the file at this path. A mount point without its ``/`` is redirected."""
    path = path_of(scope)
    if path == "":
        location = f"{scope['root_path']}/".encode()
        await respond(send, 307, [(b"location", location)], b"")
    elif path in files:
        headers = [
            (b"content-type", TYPES[files[path].suffix]),
            (b"content-security-policy", b"default-src 'self'"),
        ]
        await respond(send, 200, headers, content(files[path], server_of(scope)))
    else:
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        await respond(send, 404, headers, b"Not found.\n")


async def respond(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    """Send a complete response."""
    headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@cache
def content(file: Path, server: str) -> bytes:
    """Read a file. In a page, ``{{ server }}`` becomes the server's interface: asgi or wsgi."""
    data = file.read_bytes()
    return data.replace(b"{{ server }}", server.encode()) if file.suffix == ".html" else data


def server_of(scope: Scope) -> str:
    """``asgi`` or ``wsgi``: ``bridge.to_wsgi`` puts the environ into the scope."""
    return "wsgi" if "wsgi_environ" in scope else "asgi"
