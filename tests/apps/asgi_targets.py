"""Targets for the WSGI servers: the ASGI conformance app behind ``bridge.to_wsgi``.

``BRIDGE_TEST_OPTIONS`` is a JSON object of options of the adapter. ``BRIDGE_TEST_LIFESPAN`` is the
key of the app's reports of startup and shutdown. ``validated`` is ``app`` wrapped in
``wsgiref.validate``; the startup of ``failing`` and ``hanging`` fails.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any
from wsgiref.validate import validator

import bridge
from bridge.types import Receive, Scope, Send
from tests.apps import (
    asgi_conformance,
    asgi_faulty,  # noqa: F401 (imported for its routes)
    asgi_files,  # noqa: F401 (imported for its routes)
)
from tests.apps.asgi_routes import report
from tests.harness import every_line  # noqa: F401 (imported for its effect)

OPTIONS: dict[str, Any] = json.loads(os.environ.get("BRIDGE_TEST_OPTIONS", "{}"))
LIFESPAN = os.environ.get("BRIDGE_TEST_LIFESPAN")


async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
    """The conformance app with a lifespan."""
    if scope["type"] == "lifespan":
        await run_lifespan(scope, receive, send)
    else:
        await asgi_conformance.http_app(scope, receive, send)


async def run_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    scope["state"]["started_in"] = os.getpid()
    if LIFESPAN:
        await report(LIFESPAN, "startup", pid=os.getpid())
    await send({"type": "lifespan.startup.complete"})
    await receive()
    if LIFESPAN:
        await report(LIFESPAN, "shutdown", pid=os.getpid())
    await send({"type": "lifespan.shutdown.complete"})


async def asgi_failing(scope: Scope, receive: Receive, send: Send) -> None:
    """An app whose startup fails."""
    assert scope["type"] == "lifespan"
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})


async def asgi_hanging(scope: Scope, receive: Receive, send: Send) -> None:
    """An app whose startup never ends."""
    await asyncio.Event().wait()


app = bridge.to_wsgi(asgi, **OPTIONS)
validated = validator(app)


def failing() -> object:
    """An adapter whose startup fails."""
    return bridge.to_wsgi(asgi_failing)


def hanging() -> object:
    """An adapter whose startup never ends."""
    return bridge.to_wsgi(asgi_hanging, startup_timeout_s=0.2)
