"""Server-sent events that lose nothing: a tide gauge with one reading a second.

::

    uvicorn ticker:app --timeout-graceful-shutdown 1
    gunicorn ticker:wsgi_app -k gthread --threads 8      an open page holds one thread

Open http://127.0.0.1:8000/, stop the server, and start it again. The browser comes back by itself
and says in ``Last-Event-ID`` which reading it had last; the gauge goes on from there. The id of a
reading is its second, and what a second's reading was can be worked out, so nothing is stored. An
app with real news would look them up in its database, in the same place.
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
RETRY_MS = 1000  # how long a browser waits before it comes back
LONGEST_ABSENCE_S = 3600  # who was away for longer gets the last hour
HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx: pass events on as they come
]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The page, and ``/events`` for its stream."""
    if scope["type"] != "http":
        raise NotImplementedError(f"this app speaks http, not {scope['type']}")
    if path_of(scope) == "/events":
        await stream(scope, receive, send)
    else:
        await send_file(scope, send, FILES)


async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    """Send readings for as long as somebody listens."""
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    async with asyncio.TaskGroup() as both:
        sending = both.create_task(send_readings(send, last_seen(scope)))
        while (await receive())["type"] != "http.disconnect":
            pass
        sending.cancel()


async def send_readings(send: Send, after: int | None) -> None:
    """Send each event as it comes."""
    async for event in events(after):
        try:
            await send({"type": "http.response.body", "body": event, "more_body": True})
        except OSError:  # the client is gone, and so says receive() in a moment
            return


async def events(after: int | None) -> AsyncIterator[bytes]:
    """What was missed since the reading ``after``, in one piece, and then each as it comes."""
    yield f"retry: {RETRY_MS}\n\n".encode()
    now = int(time.time())
    last = now - 1 if after is None else min(max(after, now - LONGEST_ABSENCE_S), now)
    while True:
        now = int(time.time())
        if now > last:
            yield b"".join(map(event, range(last + 1, now + 1)))
            last = now
        await asyncio.sleep(1 - time.time() % 1)


def event(second: int) -> bytes:
    """The reading of one second since 1970, as an event."""
    tide_m = 2.1 * math.sin(second * math.tau / 44_714)  # 12 h 25 min from high water to the next
    swell_m = 0.25 * math.sin(second / 4.1) + 0.1 * math.sin(second / 1.7)
    at = datetime.fromtimestamp(second, UTC).isoformat()
    data = json.dumps({"at": at, "level_m": round(3 + tide_m + swell_m, 2)})
    return f"id: {second}\nevent: reading\ndata: {data}\n\n".encode()


def last_seen(scope: Scope) -> int | None:
    """Which reading a client that comes back had last (the HTML standard, section 9.2.4)."""
    last = dict(scope["headers"]).get(b"last-event-id", b"")
    return int(last) if last.isdigit() and len(last) < 20 else None


wsgi_app = bridge.to_wsgi(app)
