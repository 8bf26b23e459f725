"""Routes with short responses: heads, bodies, ``write``, context variables, ``wsgi.errors``.

Input: a query string with the parameters. Output: responses, and reports of the chunks that were
produced.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from bridge.types import Environ, StartResponse
from tests.apps.wsgi_routes import PLAIN, as_json, current_user, query, route, where
from tests.harness import control


@route("/status")
def status(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Any status. Returns ``body`` also where HTTP forbids one and the adapter must drop it."""
    params = query(environ)
    line = params.get("line", "200 OK")
    bodiless = line[:3] in ("204", "304")
    start_response(line, [("X-Status", line[:3])] if bodiless else PLAIN)
    return [params.get("body", "").encode("latin-1")]


@route("/head")
def head(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """A body of a known length, which reports each chunk."""
    key = query(environ)["key"]
    start_response("200 OK", [*PLAIN, ("Content-Length", "12")])
    return Reported(key, iter([b"first ", b"second"]))


class Reported:
    """An iterator that reports each chunk and its ``close``."""

    def __init__(self, key: str, chunks: Iterator[bytes]) -> None:
        self.key = key
        self.chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        data = next(self.chunks)
        control.report(self.key, "chunk", size=len(data), **where())
        return data

    def close(self) -> None:
        control.report(self.key, "closed", **where())


@route("/empty-list")
def empty_list(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [*PLAIN, ("X-Empty", "yes")])
    return []


@route("/empty-chunks")
def empty_chunks(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    return [b"", b"", b"data", b"", b"more", b""]


@route("/lazy")
def lazy(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """A generator, which calls ``start_response`` at the first chunk."""
    start_response("202 Accepted", PLAIN)
    yield b"lazy "
    yield b"body"


@route("/lazy/empty")
def lazy_empty(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("202 Accepted", [*PLAIN, ("X-Lazy", "yes")])
    return
    yield b""


@route("/write")
def write(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """The ``write`` callable of PEP 3333, before a returned body."""
    writer = start_response("200 OK", PLAIN)
    writer(b"written ")
    writer(b"")
    writer(b"twice ")
    return [b"and ", b"returned"]


@route("/write/gated")
def write_gated(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    key = query(environ)["key"]
    writer = start_response("200 OK", PLAIN)
    writer(b"first")
    control.gate(key, "second")
    writer(b"second")
    return []


@route("/headers")
def headers(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Repeated headers, mixed case, bytes above 127, and a padded value like Django's."""
    start_response(
        "299 Odd But Legal",
        [
            ("Content-Type", "text/plain"),
            ("Set-Cookie", "a=1; Path=/"),
            ("X-Mixed-CASE", "Value"),
            ("Set-Cookie", "b=2; Path=/"),
            ("X-Latin", "caf\xe9"),
            ("X-Empty", ""),
            ("X-Padded", " value "),
            ("Vary", "Accept"),
            ("Vary", "Cookie"),
        ],
    )
    return [b"ok"]


@route("/context")
def context(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """The value of the context variable, which is then set."""
    before = current_user.get()
    current_user.set(query(environ).get("set", before))
    return as_json(start_response, {"before": before, **where()})


@route("/context/streamed")
def context_streamed(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """The value of a context variable in the call, each iteration and ``close``."""
    current_user.set(query(environ)["key"])
    start_response("200 OK", PLAIN)
    return _context_lines(query(environ)["key"])


def _context_lines(key: str) -> Iterator[bytes]:
    try:
        for step in range(3):
            line = {**where(), "step": step}
            current_user.set(f"{key}-{step}")
            yield json.dumps(line).encode() + b"\n"
    finally:
        control.report(key, "closed", **where())


@route("/errors-stream")
def errors_stream(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Write to ``wsgi.errors``."""
    environ["wsgi.errors"].write(f"to wsgi.errors: {query(environ)['key']}\n")
    environ["wsgi.errors"].writelines(["a line\n", "another\n"])
    environ["wsgi.errors"].flush()
    start_response("200 OK", PLAIN)
    return [b"written"]
