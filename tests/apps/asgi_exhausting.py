"""An ASGI app that ends gunicorn's gthread worker: without descriptors, its ``accept()`` fails.

Requests that the worker has accepted before wait for that. ``wsgi_app`` is the app behind
``bridge.to_wsgi``.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import sys
import threading
from traceback import walk_stack
from typing import Any

import bridge

WAITING = 40
"""How many other requests the server has to have accepted before."""

ended = asyncio.Event()


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("shut down", flush=True)
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/exhaust":
        print("has a thread", flush=True)
        while connections() <= WAITING:
            await asyncio.sleep(0.01)
        taken = take_descriptors()
        print("no descriptors are left", flush=True)
        while worker_runs():
            await asyncio.sleep(0.01)
        for number in taken:
            os.close(number)
        ended.set()
    elif scope["path"] == "/wait":
        await ended.wait()
        await asyncio.sleep(0.05)
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"answered"})


def connections() -> int:
    """How many clients are connected to this process."""
    return sum(_has_peer(int(number)) for number in os.listdir("/proc/self/fd"))


def _has_peer(number: int) -> bool:
    try:
        with socket.socket(fileno=os.dup(number)) as connection:
            return connection.family == socket.AF_INET and bool(connection.getpeername())
    except OSError:
        return False


def take_descriptors() -> list[int]:
    """Leave none to this process. Returns those to close later."""
    highest = max(int(number) for number in os.listdir("/proc/self/fd"))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 8, hard))
    taken = []
    try:
        while True:
            taken.append(os.dup(0))
    except OSError:
        return taken


def worker_runs() -> bool:
    """Whether the main thread is in the worker's loop."""
    frame = sys._current_frames()[threading.main_thread().ident or 0]
    return any(each.f_code.co_filename.endswith("gthread.py") for each, _ in walk_stack(frame))


wsgi_app = bridge.to_wsgi(app)
