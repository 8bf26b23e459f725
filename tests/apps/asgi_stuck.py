"""An ASGI app whose requests are stuck in each way, through ``bridge.to_wsgi``.

``/await`` waits forever, ``/deaf`` ignores its cancellation for a while, ``/begun`` is stuck within
its response, ``/block`` blocks the event loop for ``BLOCKS_S``, and ``/sync`` waits in sync code on
the thread of the server. Anything else answers at once.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from contextlib import suppress

import bridge
from bridge.types import Receive, Scope, Send

LIMIT_S = 1.0
BLOCKS_S = 4.0
DEAF_S = 8.0
FOREVER_S = 60.0


async def deaf() -> None:
    until = time.monotonic() + DEAF_S
    while time.monotonic() < until:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0.1)


async def stuck(scope: Scope, receive: Receive, send: Send) -> None:
    path = scope["path"]
    if path == "/await":
        await asyncio.Event().wait()
    elif path == "/deaf":
        await deaf()
    elif path == "/block":
        time.sleep(BLOCKS_S)  # noqa: ASYNC251  # blocks the event loop on purpose
    elif path == "/sync":
        await bridge.sync_to_async(time.sleep)(FOREVER_S)
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if path == "/begun":
        await send({"type": "http.response.body", "body": b"the beginning", "more_body": True})
        await asyncio.Event().wait()
    await send({"type": "http.response.body", "body": json.dumps({"pid": os.getpid()}).encode()})


app = bridge.AsgiToWsgi(stuck, lifespan="off", request_timeout_s=LIMIT_S)
