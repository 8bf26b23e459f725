"""A WSGI app that computes until the test opens the gate ``end``, with a target for the loop.

The target is so low that any computing thread exceeds it. ``/stats`` answers with the pool's state,
from the event loop.
"""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterable
from urllib.parse import parse_qs

import bridge
from bridge.types import Environ, Receive, Scope, Send, StartResponse
from tests.harness.control import gate

THREADS = 4
_ended: dict[str, threading.Event] = {}


def compute(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Until the gate is open. The first request with a key starts a thread that waits there."""
    key = parse_qs(environ["QUERY_STRING"])["key"][0]
    ended = threading.Event()
    if _ended.setdefault(key, ended) is ended:
        threading.Thread(target=_wait, args=(key, ended), daemon=True).start()
    while not _ended[key].is_set():
        sum(range(1000))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"computed\n"]


def _wait(key: str, ended: threading.Event) -> None:
    gate(key, "end")
    ended.set()


async def stats(scope: Scope, receive: Receive, send: Send) -> None:
    """The state of the pool, as JSON."""
    found = app.stats()
    assert found is not None
    body = json.dumps(dataclasses.asdict(found)).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


app = bridge.Router({"/": compute, "/stats": stats}, threads=THREADS, loop_lag_target_s=0.00001)
