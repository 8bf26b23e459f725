"""An app that takes ``SECONDS`` for each request, through ``bridge.to_asgi`` with few threads.

``few`` is the same in a process that has memory for the stacks of three threads more, so that the
system refuses others (as with ``ulimit -u``, from which root is exempt).
"""

from __future__ import annotations

import functools
import re
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import bridge
from bridge.types import Environ, StartResponse

THREADS = 4
SECONDS = 0.05
STACK_BYTES = 256 << 20


def paced(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    time.sleep(SECONDS)
    body = b"done\n"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


app = bridge.to_asgi(paced, threads=THREADS)
_many = bridge.to_asgi(paced, threads=40)


async def few(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        limit_threads()
    await _many(scope, receive, send)


@functools.cache
def limit_threads() -> None:
    """At the first request, when all else of the server has its memory."""
    import resource  # not on Windows

    threading.stack_size(STACK_BYTES)
    found = re.search(r"VmSize:\s*(\d+) kB", Path("/proc/self/status").read_text("ascii"))
    assert found is not None
    limit = int(found[1]) * 1024 + 3 * STACK_BYTES + STACK_BYTES // 2
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
