"""Asks an app of the documentation for one page: ``python -m tests.docs.asking asgi:app /clock``.

What enters: an app of either interface, and a path. What leaves: nothing if it answered well, else
an AssertionError. The app crosses the bridge at least once, whichever side it is on.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from typing import Any

import bridge
from bridge.types import AsgiApp
from tests.harness.asgi import Exchange, http_scope

__all__ = ["APPS", "ask"]

APPS = ("app", "application")
"""The names by which a block defines an app."""


async def ask(app: Any, path: str) -> None:
    """One request through the bridge. A response that goes on is left after its first chunk."""
    scope = {**http_scope(path=path), "headers": [(b"host", b"localhost")]}
    async with Exchange(crossed(app), scope) as exchange:
        exchange.feed()
        sent = await exchange.until(2)
        if exchange.task.done():
            await exchange.finished()
        assert len(sent) >= 2, f"GET {path}: the app sent {sent}"
        assert sent[0]["status"] < 400, f"GET {path}: {sent[0]['status']}\n{sent[1]}"
        exchange.leave()
        await exchange.finished()


def crossed(app: Any) -> AsgiApp:
    """The app as an ASGI app that has crossed the bridge at least once."""
    if bridge.interface_of(app) == "wsgi":
        return bridge.to_asgi(app)
    if isinstance(app, bridge.WsgiToAsgi):
        return app
    return bridge.to_asgi(bridge.to_wsgi(app))


if __name__ == "__main__":
    module, _, name = sys.argv[1].partition(":")
    asyncio.run(ask(getattr(importlib.import_module(module), name), sys.argv[2]))
