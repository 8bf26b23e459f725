"""What the WSGI servers are pointed at: the ASGI conformance app through ``bridge.to_wsgi``.

What enters: ``BRIDGE_TEST_OPTIONS``, a JSON object of the adapter's options, and
``BRIDGE_TEST_LIFESPAN``, the key under which the app reports its startup and shutdown. What leaves:
``app``, the same in ``wsgiref.validate``, and apps whose startup goes wrong.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any
from wsgiref.validate import validator

import bridge
from bridge.types import Receive, Scope, Send
from tests.apps import asgi_conformance, asgi_faulty  # noqa: F401 (imported for its routes)
from tests.apps.asgi_routes import report

OPTIONS: dict[str, Any] = json.loads(os.environ.get("BRIDGE_TEST_OPTIONS", "{}"))
LIFESPAN = os.environ.get("BRIDGE_TEST_LIFESPAN")


async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
    """The conformance app, with a lifespan around it."""
    if scope["type"] == "lifespan":
        await live(scope, receive, send)
    else:
        await asgi_conformance.http_app(scope, receive, send)


async def live(scope: Scope, receive: Receive, send: Send) -> None:
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
    """An app that cannot start."""
    assert scope["type"] == "lifespan"
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})


async def asgi_hanging(scope: Scope, receive: Receive, send: Send) -> None:
    """An app whose startup never ends."""
    await asyncio.Event().wait()


app = bridge.to_wsgi(asgi, **OPTIONS)
validated = validator(app)


def failing() -> object:
    """An app that says that it cannot start."""
    return bridge.to_wsgi(asgi_failing)


def hanging() -> object:
    """An app that never says anything."""
    return bridge.to_wsgi(asgi_hanging, startup_timeout_s=0.2)
