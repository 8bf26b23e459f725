"""What a WSGI app can see of its way to the client: the line at the foot of each page."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any


@dataclass(frozen=True)
class Crossing:
    """How one request reached the app, in the words a page shows.

    :ivar stops: what the request passed through, outermost first.
    :ivar thread: the name of the thread that runs the app.
    """

    stops: tuple[str, ...]
    thread: str
    pid: int


def crossing_of(environ: Mapping[str, Any]) -> Crossing:
    """Read the way of a request from its WSGI environ.

    ``asgi.scope`` is there only when the request came through the bridge.
    """
    scope = environ.get("asgi.scope")
    flask = f"Flask {version('flask')}"
    protocol = str(environ.get("SERVER_PROTOCOL", "HTTP"))
    if scope is None:
        stops: tuple[str, ...] = (protocol, "WSGI server", flask)
    else:
        stops = (protocol, f"ASGI {scope['asgi']['version']} server", "bridge.to_asgi", flask)
    return Crossing(stops, threading.current_thread().name, os.getpid())
