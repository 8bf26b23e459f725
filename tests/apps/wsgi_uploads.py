"""Routes that read ``wsgi.input`` with every method, and respond with its length and digest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from bridge.types import Environ, StartResponse
from tests.apps.wsgi_routes import PLAIN, as_json, query, route
from tests.harness import control


def _read_sized(source: Any, size: int) -> Iterator[bytes]:
    while data := source.read(size):
        yield data


def _read_lines(source: Any) -> Iterator[bytes]:
    while line := source.readline():
        yield line


READERS: dict[str, Callable[[Any], Iterable[bytes]]] = {
    "read-1": lambda source: _read_sized(source, 1),
    "read-7": lambda source: _read_sized(source, 7),
    "read-64k": lambda source: _read_sized(source, 65536),
    "read-all": lambda source: [source.read(-1)],
    "readline": _read_lines,
    "readline-5": lambda source: iter(lambda: source.readline(5), b""),
    "readlines": lambda source: source.readlines(),
    "readlines-hint": lambda source: iter_hinted(source),
    "iter": iter,
    "none": lambda source: [],
}


def iter_hinted(source: Any) -> Iterator[bytes]:
    """``readlines(hint)`` may stop early, so call it until it returns nothing."""
    while lines := source.readlines(10):
        yield from lines


@route("/upload")
def upload(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Read the body by ``how``. Its length, digest and number of pieces as JSON."""
    return as_json(start_response, digest(environ, query(environ).get("how", "read-64k")))


@route("/upload/unvalidated", validated=False)
def upload_unvalidated(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Read without a size, which PEP 3333 does not have and every framework uses."""
    body = environ["wsgi.input"].read()
    after = environ["wsgi.input"].read()
    facts = {"length": len(body), "sha256": hashlib.sha256(body).hexdigest(), "after": len(after)}
    return as_json(start_response, facts)


@route("/upload/watched")
def upload_watched(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Report the first byte, wait at a gate, read the rest."""
    key = query(environ)["key"]
    source = environ["wsgi.input"]
    hashed = hashlib.sha256()
    first = source.read(1)
    control.report(key, "first", size=len(first))
    control.gate(key, "read-on")
    length = 0
    while first:
        hashed.update(first)
        length += len(first)
        first = source.read(65536)
    return as_json(start_response, {"length": length, "sha256": hashed.hexdigest()})


@route("/upload/cut")
def upload_cut(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Read to the end of a truncated body. Report how it ended."""
    key = query(environ)["key"]
    length = 0
    control.report(key, "reading")
    try:
        for data in _read_sized(environ["wsgi.input"], 1024):
            length += len(data)
    except Exception as error:
        kinds = [kind.__name__ for kind in type(error).__mro__]
        control.report(key, "ended", error=kinds, length=length)
        raise
    control.report(key, "ended", error=None, length=length)
    return as_json(start_response, {"length": length})


@route("/upload/answered")
def upload_answered(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """Begin the response, then read a body that stops. With ``then=continue``, end the response."""
    params = query(environ)
    start_response("200 OK", PLAIN)
    yield b"begun"
    try:
        for _ in _read_sized(environ["wsgi.input"], 1024):
            pass
    except OSError as error:
        control.report(params["key"], "ended", error=type(error).__name__)
        if params.get("then") != "continue":
            raise
    yield b", and ended"


def digest(environ: Environ, how: str) -> dict[str, object]:
    pieces = READERS[how](environ["wsgi.input"])
    hashed, length, count = hashlib.sha256(), 0, 0
    for data in pieces:
        hashed.update(data)
        length += len(data)
        count += 1
    return {"length": length, "sha256": hashed.hexdigest(), "pieces": count}
