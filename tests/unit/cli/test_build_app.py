"""The app that a server imports, in a form that no server mistakes."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

from bridge.cli.build_app import plain_asgi
from bridge.types import Receive, Scope, Send


def test_only_an_app_that_looks_like_asgi_2_is_wrapped() -> None:
    called: list[str] = []

    async def function(scope: Scope, receive: Receive, send: Send) -> None:
        called.append(scope["type"])

    class Plain:
        def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
            return function(scope, receive, send)

    class Async:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    instance = Async()
    assert plain_asgi(function) is function
    assert plain_asgi(instance) is instance
    plain = plain_asgi(Plain())
    assert inspect.iscoroutinefunction(plain)
    asyncio.run(plain({"type": "http"}, _receive, _send))
    assert called == ["http"]


async def _receive() -> Any:
    raise AssertionError("nothing is received")


async def _send(message: Any) -> None:
    raise AssertionError("nothing is sent")
