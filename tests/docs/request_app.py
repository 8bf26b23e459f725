"""Sends one request to an app of a page: ``python -m tests.docs.request_app asgi:app /clock``.

Input: an app of either interface, and a path. Raises an AssertionError unless the app answers with
a status below 400. At least one adapter is between the request and the app.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from typing import Any

import bridge
from bridge.types import AsgiApp
from tests.harness.asgi import Exchange, http_scope

__all__ = ["APPS", "request_app"]

APPS = ("app", "application")
"""The names under which a block defines an app."""


async def request_app(app: Any, path: str) -> None:
    """Send one request through bridge. Disconnect from a longer response after its first chunk."""
    scope = {**http_scope(path=path), "headers": [(b"host", b"localhost")]}
    async with Exchange(through_bridge(app), scope) as exchange:
        exchange.feed()
        sent = await exchange.wait_for_messages(2)
        if exchange.task.done():
            await exchange.wait()
        assert len(sent) >= 2, f"GET {path}: the app sent {sent}"
        assert sent[0]["status"] < 400, f"GET {path}: {sent[0]['status']}\n{sent[1]}"
        exchange.disconnect()
        await exchange.wait()


def through_bridge(app: Any) -> AsgiApp:
    """The app as an ASGI app with at least one adapter around it."""
    if bridge.interface_of(app) == "wsgi":
        return bridge.to_asgi(app)
    if isinstance(app, bridge.WsgiToAsgi):
        return app
    return bridge.to_asgi(bridge.to_wsgi(app))


if __name__ == "__main__":
    module, _, name = sys.argv[1].partition(":")
    asyncio.run(request_app(getattr(importlib.import_module(module), name), sys.argv[2]))
