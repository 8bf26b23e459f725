"""An app whose requests are stuck in each way that a thread can be, through ``bridge.to_asgi``.

``/sleep``, ``/cpu``, ``/lock``, ``/c`` (a call into C that releases the interpreter lock) and
``/database`` are stuck before their response, ``/begun`` within it, until ``/go-on``; ``/c`` ends
by itself. Anything else answers at once. ``app`` has a thread for each of them; ``few`` has one, so
that the second request that is stuck leaves none.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import bridge
from bridge.types import Environ, StartResponse

LIMIT_S = 1.0
THREADS = 8
MOST_S = 60.0
IN_C_S = 4.0
"""How long the call in C needs the CPU: longer than the limit of a request."""

_go_on = threading.Event()


def sleep() -> None:
    _go_on.wait(MOST_S)


def cpu() -> None:
    while not _go_on.is_set():
        pass


def when_it_goes_on(call: Callable[[], object]) -> None:
    def wait() -> None:
        _go_on.wait(MOST_S)
        call()

    threading.Thread(target=wait, daemon=True).start()


def lock() -> None:
    held = threading.Lock()
    held.acquire()
    when_it_goes_on(held.release)
    held.acquire()


def c() -> None:
    """One call, of as many rounds as take long enough on this machine."""
    sample, before = 100_000, time.thread_time()
    hashlib.pbkdf2_hmac("sha256", b"password", b"salt", sample)
    rounds = int(sample * IN_C_S / (time.thread_time() - before))
    hashlib.pbkdf2_hmac("sha256", b"password", b"salt", rounds)


def database() -> None:
    """Waits for a lock of SQLite that another connection holds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "db"
        holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        holder.execute("begin exclusive")
        when_it_goes_on(holder.rollback)
        sqlite3.connect(path, timeout=MOST_S, isolation_level=None).execute("begin exclusive")


STUCK: dict[str, Callable[[], None]] = {
    "/sleep": sleep,
    "/cpu": cpu,
    "/lock": lock,
    "/c": c,
    "/database": database,
}


def stuck(environ: Environ, start_response: StartResponse) -> list[bytes] | Iterator[bytes]:
    path = environ["PATH_INFO"]
    if path in STUCK:
        STUCK[path]()
    elif path == "/go-on":
        _go_on.set()
    body = {"pid": os.getpid(), "threads": threading.active_count(), "lost": app.stats().lost}
    start_response("200 OK", [("Content-Type", "application/json")])
    return begun() if path == "/begun" else [json.dumps(body).encode()]


def begun() -> Iterator[bytes]:
    yield b"the beginning"
    _go_on.wait(MOST_S)
    yield b"the end"


app = bridge.WsgiToAsgi(stuck, threads=THREADS, request_timeout_s=LIMIT_S)
few = bridge.WsgiToAsgi(stuck, threads=1, request_timeout_s=LIMIT_S)
