"""Routes that send a file through ``wsgi.file_wrapper``.

The query string selects the kind of file and the part of it. The wrapper is returned to the server,
so these routes are not wrapped in the validator.
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
    """A few MiB in which each position is different."""
    return b"".join(number.to_bytes(4, "big") for number in range(FILE_SIZE // 4 + 1))[:FILE_SIZE]


@route("/file", validated=False)
def file(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Sends a file or a part of it: in memory, on disk, or with a name."""
    params = query(environ)
    opened = _open_file(params.get("kind", "disk"))
    opened.seek(int(params.get("offset", "0")))
    fields = [("Content-Type", "application/octet-stream")]
    if "length" in params:
        fields.append(("Content-Length", params["length"]))
    start_response("200 OK", fields)
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](opened, 8192)
    return wrapped


def _open_file(kind: str) -> Any:
    if kind == "memory":
        return io.BytesIO(file_content())
    make = tempfile.NamedTemporaryFile if kind == "named" else tempfile.TemporaryFile
    opened = make()  # the server closes it through the wrapper
    opened.write(file_content())
    opened.flush()
    return opened


@route("/file/closed", validated=False)
def file_closed(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Sends a file object that reports its ``close``, which the wrapper must call."""
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
