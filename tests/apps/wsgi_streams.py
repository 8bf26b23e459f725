"""Routes with long responses: gated, endless or large.

Input: the test's key for gates and reports. Output: bodies that are produced chunk by chunk, and a
report of their ``close()`` with its thread and context.
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
    """Sends ``count`` chunks, each after passing the gate ``chunk``."""
    params = query(environ)
    start_response("200 OK", PLAIN)
    for number in range(int(params.get("count", "3"))):
        control.gate(params["key"], "chunk")
        yield f"chunk {number};".encode()


@route("/endless")
def endless(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Sends events until the client disconnects. Reports ``started`` and ``closed``."""
    key = query(environ)["key"]
    current_user.set(key)
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    return Endless(key)


class Endless:
    """An event every few milliseconds. The pause simulates work; it synchronises nothing."""

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
    """The same as a generator, whose ``close()`` runs ``finally``."""
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
    """Sends one chunk, then nothing until a gate opens, to disconnect while the app is busy."""
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
    """Keep the thread busy until the gate opens."""
    control.gate(query(environ)["key"], "hold")
    return as_json(start_response, where())


@route("/large")
def large(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """Sends ``size`` bytes in chunks of 64 KiB, with Content-Length if ``length=yes``."""
    params = query(environ)
    size = int(params["size"])
    length = [("Content-Length", str(size))] if params.get("length") == "yes" else []
    start_response("200 OK", [("Content-Type", "application/octet-stream"), *length])
    return large_body(size)


def large_body(size: int) -> Iterator[bytes]:
    for offset in range(0, size, len(BLOCK)):
        yield BLOCK[: min(len(BLOCK), size - offset)]


@route("/large/counted")
def large_counted(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """The same. Reports the bytes produced after every MiB, or after ``every`` bytes.

    With ``spool=no`` it is not spooled.
    """
    params = query(environ)
    live = [("X-Accel-Buffering", "no")] if params.get("spool") == "no" else []
    start_response("200 OK", [("Content-Type", "application/octet-stream"), *live])
    return _counted(params["key"], int(params["size"]), int(params.get("every", 1 << 20)))


def _counted(key: str, size: int, every: int) -> Iterator[bytes]:
    made = 0
    try:
        for data in large_body(size):
            made += len(data)
            if made % every == 0:
                control.report(key, "made", size=made)
            yield data
    finally:
        control.report(key, "closed", size=made)
