"""``/long``: a body that is longer than its Content-Length.

``how`` selects how the app sends it: one of ``WAYS``. ``length`` is its Content-Length; the body is
``BODY``. Reports each chunk that was produced, and ``close``.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

from bridge.types import Environ, StartResponse
from tests.apps.wsgi_responses import Reported
from tests.apps.wsgi_routes import PLAIN, query, route
from tests.harness import control

BODY = b"0123456789abcdefghij"
WAYS = ["list", "parts", "chunks", "write", "write-and-list", "file", "closing-file"]
WARNS = [way for way in WAYS if way != "file"]
"""PEP 3333 sends a wrapped file up to its Content-Length: a longer one is no mistake."""


@route("/long", validated=False)
def long(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    params = query(environ)
    how, key = params["how"], params["key"]
    status = params.get("status", "200 OK")
    write = start_response(status, [*PLAIN, ("Content-Length", params["length"])])
    parts = [BODY[at : at + 4] for at in range(0, len(BODY), 4)]
    if how.startswith("write"):
        for part in parts:
            write(part)
        return parts if how == "write-and-list" else []
    if how == "list":
        return [BODY]
    if how == "parts":
        return parts
    if how == "chunks":
        return Reported(key, iter(parts))
    file = _File(key)
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file)
    return wrapped if how == "file" else _closing(wrapped, file)


class _File(io.BytesIO):
    def __init__(self, key: str) -> None:
        super().__init__(BODY)
        self.key = key

    def close(self) -> None:
        if not self.closed:
            control.report(self.key, "closed")
        super().close()


def _closing(chunks: Iterable[bytes], file: _File) -> Iterator[bytes]:
    """A middleware between the file wrapper and the server."""
    with file:
        yield from chunks
