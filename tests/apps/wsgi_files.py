"""Routes that hand a file to ``wsgi.file_wrapper``.

What enters: which kind of file, and which part of it. What leaves: its content. The wrapper's
result goes straight to the server, so these routes are not wrapped in the validator.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable
from typing import Any

from bridge.types import Environ, StartResponse
from tests.apps.wsgi_routes import PLAIN, query, route, where
from tests.harness import control

FILE_SIZE = 3 * (1 << 20) + 17


def file_content() -> bytes:
    """What every file route sends from: a few MiB in which no position looks like another."""
    return b"".join(number.to_bytes(4, "big") for number in range(FILE_SIZE // 4 + 1))[:FILE_SIZE]


@route("/file", validated=False)
def file(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """A file, or part of it, through ``wsgi.file_wrapper``: in memory, on disk, with a name."""
    asked = query(environ)
    opened = _open_file(asked.get("kind", "disk"))
    opened.seek(int(asked.get("offset", "0")))
    fields = [("Content-Type", "application/octet-stream")]
    if "length" in asked:
        fields.append(("Content-Length", asked["length"]))
    start_response("200 OK", fields)
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](opened, 8192)
    return wrapped


def _open_file(kind: str) -> Any:
    if kind == "memory":
        return io.BytesIO(file_content())
    make = tempfile.NamedTemporaryFile if kind == "named" else tempfile.TemporaryFile
    opened = make()  # closed by the server, through the wrapper
    opened.write(file_content())
    opened.flush()
    return opened


@route("/file/closed", validated=False)
def file_closed(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """A file object that reports its ``close``, which the wrapper has to call."""
    start_response("200 OK", PLAIN)
    reported = ReportingFile(query(environ)["key"], b"content of a file")
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](reported)
    return wrapped


class ReportingFile(io.BytesIO):
    def __init__(self, key: str, content: bytes) -> None:
        super().__init__(content)
        self.key = key

    def close(self) -> None:
        if not self.closed:
            control.report(self.key, "closed", **where())
        super().close()
