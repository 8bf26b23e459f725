"""Server-sent events without gaps: a tide gauge with one reading per second.

::

    uvicorn ticker:app --timeout-graceful-shutdown 1
    gunicorn ticker:wsgi_app -k gthread --threads 8      an open page occupies one thread

Open http://127.0.0.1:8000/, stop the server, and start it again. The browser reconnects
automatically and sends the id of its last reading in ``Last-Event-ID``; the gauge continues from
there. The id of a reading is its second, and readings are computed from it, so nothing is stored.
An app with real data would query its database at the same point.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from static_files import COMMON, PAGES, path_of, send_file

import bridge
from bridge.types import Receive, Scope, Send

FILES = {**COMMON, "/": PAGES / "ticker.html", "/ticker.js": PAGES / "ticker.js"}
RETRY_MS = 1000  # how long a browser waits before it reconnects
MAX_REPLAY_S = 3600  # a client that was away for longer gets the last hour
HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx: do not buffer events
]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The page, and its stream at ``/events``."""
    if scope["type"] != "http":
        raise NotImplementedError(f"unsupported scope type: {scope['type']}")
    if path_of(scope) == "/events":
        await stream(scope, receive, send)
    else:
        await send_file(scope, send, FILES)


async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    """Send readings until the client disconnects."""
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(send_readings(send, last_event_id(scope)))
        while (await receive())["type"] != "http.disconnect":
            pass
        sending.cancel()


async def send_readings(send: Send, after: int | None) -> None:
    """Send each event when it is due."""
    async for event in events(after):
        try:
            await send({"type": "http.response.body", "body": event, "more_body": True})
        except OSError:  # the client has disconnected; receive() returns http.disconnect
            return


async def events(after: int | None) -> AsyncIterator[bytes]:
    """All readings since ``after`` in one chunk, then one reading per second."""
    yield f"retry: {RETRY_MS}\n\n".encode()
    now = int(time.time())
    last = now - 1 if after is None else min(max(after, now - MAX_REPLAY_S), now)
    while True:
        now = int(time.time())
        if now > last:
            yield b"".join(map(event, range(last + 1, now + 1)))
            last = now
        await asyncio.sleep(1 - time.time() % 1)


def event(second: int) -> bytes:
    """The reading of one second since 1970, as an event."""
    tide_m = 2.1 * math.sin(second * math.tau / 44_714)  # 12 h 25 min between high waters
    swell_m = 0.25 * math.sin(second / 4.1) + 0.1 * math.sin(second / 1.7)
    at = datetime.fromtimestamp(second, UTC).isoformat()
    data = json.dumps({"at": at, "level_m": round(3 + tide_m + swell_m, 2)})
    return f"id: {second}\nevent: reading\ndata: {data}\n\n".encode()


def last_event_id(scope: Scope) -> int | None:
    """The last reading of a client that reconnects (HTML standard, section 9.2.4)."""
    last = dict(scope["headers"]).get(b"last-event-id", b"")
    return int(last) if last.isdigit() and len(last) < 20 else None


wsgi_app = bridge.to_wsgi(app)
