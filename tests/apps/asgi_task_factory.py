"""An ASGI app that sets a task factory at startup which raises, behind ``bridge.to_wsgi``.

It reports its lifespan on stderr, as in ``lifespan: up``.
"""

from __future__ import annotations

import asyncio
import os

import bridge
from bridge.types import Receive, Scope, Send
from tests.harness.asgi import raising_task_factory


async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
        asyncio.get_running_loop().set_task_factory(raising_task_factory)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        os.write(2, b"lifespan: down\n")
        await send({"type": "lifespan.shutdown.complete"})
        return
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"fine"})


app = bridge.to_wsgi(asgi)
router = bridge.Router({"/": asgi})
