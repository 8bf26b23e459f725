"""The path of a request from the client to the app, as far as a WSGI app can see it.

It is shown at the foot of each page.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any


@dataclass(frozen=True)
class RequestTrace:
    """How one request reached the app, as shown on a page.

    :ivar stops: what the request passed through, outermost first.
    :ivar thread: the name of the thread that runs the app.
    """

    stops: tuple[str, ...]
    thread: str
    pid: int


def trace_of(environ: Mapping[str, Any]) -> RequestTrace:
    """Read the path of a request from its WSGI environ.

    ``asgi.scope`` is set only if the request came through bridge.
    """
    scope = environ.get("asgi.scope")
    flask = f"Flask {version('flask')}"
    protocol = str(environ.get("SERVER_PROTOCOL", "HTTP"))
    if scope is None:
        stops: tuple[str, ...] = (protocol, "WSGI server", flask)
    else:
        stops = (protocol, f"ASGI {scope['asgi']['version']} server", "bridge.to_asgi", flask)
    return RequestTrace(stops, threading.current_thread().name, os.getpid())
