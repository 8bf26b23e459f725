"""The live board: server-sent events from an ordinary sync generator.

Each open page occupies one generator on one worker thread. Other requests publish entries, from any
thread; the generator yields them in the ``text/event-stream`` format. When a client disconnects,
the server closes the generator. Its ``finally`` removes the client from the board, and the other
clients receive the new number of watchers.

Each worker process has its own board.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from queue import Empty, SimpleQueue

from flask import Blueprint, Response, current_app, render_template

from harbour.tides import level_m

blueprint = Blueprint("live", __name__)

TICK_S = 1.0  # one reading per second; also the longest wait before a generator can be closed
RETRY_MS = 2000


class Board:
    """The open pages. Any thread may call any method."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._mailboxes: set[SimpleQueue[str]] = set()

    def publish(self, event: str, data: object) -> None:
        """Send an event to all watchers."""
        with self._lock:
            self._post(message(event, data))

    def watch(self) -> Iterator[str]:
        """Yield events until closed. Counted as a watcher from ``next()`` to ``close()``."""
        mailbox: SimpleQueue[str] = SimpleQueue()
        self._add(mailbox)
        try:
            yield f"retry: {RETRY_MS}\n\n"
            while True:
                try:
                    yield mailbox.get(timeout=TICK_S)
                except Empty:
                    yield message("reading", reading())
        finally:
            self._remove(mailbox)

    def _add(self, mailbox: SimpleQueue[str]) -> None:
        with self._lock:
            self._mailboxes.add(mailbox)
            mailbox.put(message("reading", reading()))
            self._post(message("watchers", len(self._mailboxes)))

    def _remove(self, mailbox: SimpleQueue[str]) -> None:
        with self._lock:
            self._mailboxes.discard(mailbox)
            self._post(message("watchers", len(self._mailboxes)))

    def _post(self, text: str) -> None:
        for mailbox in self._mailboxes:
            mailbox.put(text)


def message(event: str, data: object) -> str:
    """A server-sent event with its data as JSON on one line."""
    return f"event: {event}\ndata: {json.dumps(data)}\n\n"


def reading() -> dict[str, object]:
    """The current reading of the (simulated) instruments."""
    now = time.time()
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "wind_knots": round(13 + 6 * math.sin(now / 41) + 3 * math.sin(now / 7.3), 1),
        "wind_degrees": round(230 + 35 * math.sin(now / 97)),
        "level_m": round(level_m(datetime.now(UTC)) + 0.04 * math.sin(now / 3), 2),
        "thread": threading.current_thread().name,
    }


def board() -> Board:
    """The board of the app that handles this request."""
    found: Board = current_app.extensions["board"]
    return found


@blueprint.get("/live")
def page() -> str:
    """The page of the board; `static/live.js` fills it."""
    return render_template("live.html")


@blueprint.get("/live/events")
def events() -> Response:
    """The stream. ``X-Accel-Buffering`` turns off nginx's buffering of it."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Response(board().watch(), mimetype="text/event-stream", headers=headers)
