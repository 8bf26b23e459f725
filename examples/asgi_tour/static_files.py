"""A few files over ASGI: what the two pages of this tour are served with.

What enters: a scope and a table of paths and files. What leaves: the file, or 404. On the event
loop; each file is read once and kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from bridge.types import Scope, Send

HERE = Path(__file__).resolve().parent
PAGES = HERE / "pages"
LOOK = HERE.parent / "look"  # the stylesheet shared by all the examples

COMMON = {
    "/harbour.css": LOOK / "harbour.css",
    "/bridge.svg": LOOK / "bridge.svg",
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
    """Answer with the file at this path. A mount point without its ``/`` is sent there."""
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
        await respond(send, 404, headers, b"There is nothing here.\n")


async def respond(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    """A whole response."""
    headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@cache
def content(file: Path, server: str) -> bytes:
    """What is in a file; a page learns from ``{{ server }}`` what serves it: asgi or wsgi."""
    data = file.read_bytes()
    return data.replace(b"{{ server }}", server.encode()) if file.suffix == ".html" else data


def server_of(scope: Scope) -> str:
    """``bridge.to_wsgi`` leaves the environ in the scope that it makes."""
    return "wsgi" if "wsgi_environ" in scope else "asgi"
