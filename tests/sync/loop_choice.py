"""Prints, as JSON, the module of each event loop that bridge makes: a program of its own.

Arguments: ``without-uvloop`` hides uvloop; ``factory`` passes a ``loop_factory`` of asyncio.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import bridge
from bridge.types import Receive, Scope, Send
from tests.harness import wsgi


async def kind() -> str:
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        headers = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": (await kind()).encode()})


async def kinds() -> AsyncIterator[str]:
    yield await kind()


@asynccontextmanager
async def manager() -> AsyncIterator[str]:
    yield await kind()


def entered(**options: Any) -> str:
    with bridge.enter_in_loop(manager(), **options) as inside:
        return inside


def called(adapter: Any) -> str:
    return wsgi.call(adapter, wsgi.environ_of()).body.decode()


MAKERS: dict[str, Callable[..., str]] = {
    "to_wsgi": lambda **options: called(bridge.AsgiToWsgi(app, **options)),
    "Router": lambda **options: called(bridge.Router({"/": app}, **options).wsgi),
    "universal": lambda **options: called(bridge.universal(app, **options).wsgi),
    "async_to_sync": lambda **options: bridge.async_to_sync(kind, **options)(),
    "iterate_in_loop": lambda **options: next(bridge.iterate_in_loop(kinds(), **options)),
    "enter_in_loop": entered,
    "force_new_loop": lambda **options: bridge.async_to_sync(
        kind, force_new_loop=True, **options
    )(),
}


def outcome(make: Callable[..., str], **options: Any) -> str:
    try:
        return make(**options)
    except bridge.ConfigError as error:
        return str(error)


def selector_loop() -> asyncio.AbstractEventLoop:
    return asyncio.SelectorEventLoop()


if __name__ == "__main__":
    if "without-uvloop" in sys.argv:
        sys.modules["uvloop"] = None  # type: ignore[assignment]  # so that its import fails
    options: dict[str, Any] = {"loop_factory": selector_loop} if "factory" in sys.argv else {}
    print(json.dumps({name: outcome(make, **options) for name, make in MAKERS.items()}))
