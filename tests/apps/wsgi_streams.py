"""Routes that answer over time: gated, endless, large.

What enters: the test's key, by which its gates and reports are known. What leaves: bodies that are
made chunk by chunk, and a report of their ``close()`` with the thread and context it ran in.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from bridge.types import Environ, StartResponse
from tests.apps.wsgi_routes import PLAIN, as_json, current_user, query, route, where
from tests.harness import control

BLOCK = bytes(range(256)) * 256  # 64 KiB
PAUSE_S = 0.02


@route("/stream")
def stream(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """``count`` chunks, each made only when its gate ``chunk`` is passed."""
    asked = query(environ)
    start_response("200 OK", PLAIN)
    for number in range(int(asked.get("count", "3"))):
        control.gate(asked["key"], "chunk")
        yield f"chunk {number};".encode()


@route("/endless")
def endless(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Server-sent events until the client leaves; reports ``started`` and ``closed``."""
    key = query(environ)["key"]
    current_user.set(key)
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    return Endless(key)


class Endless:
    """An event every few milliseconds. The pause is the app's work, not a synchronisation."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.made_at: list[float] = []

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if not self.made_at:
            control.report(self.key, "started", **where())
        time.sleep(PAUSE_S)
        self.made_at.append(time.monotonic())
        return f"data: {len(self.made_at)}\n\n".encode()

    def close(self) -> None:
        control.report(
            self.key, "closed", made_at=self.made_at, closed_at=time.monotonic(), **where()
        )


@route("/endless/generator")
def endless_generator(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """The same as a plain generator, whose ``finally`` is what ``close()`` runs."""
    key = query(environ)["key"]
    current_user.set(key)
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    control.report(key, "started", **where())
    try:
        while True:
            yield b"data: tick\n\n"
            time.sleep(PAUSE_S)
    finally:
        control.report(key, "closed", **where())


@route("/endless/quiet")
def endless_quiet(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """One chunk, then nothing until a gate opens: the client leaves while the app is busy."""
    key = query(environ)["key"]
    start_response("200 OK", PLAIN)
    try:
        yield b"first"
        control.report(key, "started", **where())
        control.gate(key, "second")
        yield b"second"
        control.report(key, "resumed", **where())
    finally:
        control.report(key, "closed", **where())


@route("/hold")
def hold(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Keep the thread until the test lets go."""
    control.gate(query(environ)["key"], "hold")
    return as_json(start_response, where())


@route("/large")
def large(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """``size`` bytes in pieces of 64 KiB, with a Content-Length if ``length=yes``."""
    asked = query(environ)
    size = int(asked["size"])
    length = [("Content-Length", str(size))] if asked.get("length") == "yes" else []
    start_response("200 OK", [("Content-Type", "application/octet-stream"), *length])
    return large_body(size)


def large_body(size: int) -> Iterator[bytes]:
    for offset in range(0, size, len(BLOCK)):
        yield BLOCK[: min(len(BLOCK), size - offset)]


@route("/large/counted")
def large_counted(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """The same, reporting at the end of every MiB how many have been made."""
    asked = query(environ)
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return _counted(asked["key"], int(asked["size"]))


def _counted(key: str, size: int) -> Iterator[bytes]:
    made = 0
    try:
        for data in large_body(size):
            made += len(data)
            if made % (1 << 20) == 0:
                control.report(key, "made", size=made)
            yield data
    finally:
        control.report(key, "closed", size=made)
