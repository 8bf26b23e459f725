"""What an app does before its first request and after its last: open things, and close them.

::

    uvicorn lifespan:app
    gunicorn lifespan:wsgi_app -c python:bridge.contrib.gunicorn

Both servers print the two lines of startup and shutdown. Without the ``-c``, startup waits for the
first request.
"""

from __future__ import annotations

import itertools
import sys
import time

import bridge
from bridge.types import Receive, Scope, Send


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Count requests in what the startup has made."""
    if scope["type"] == "lifespan":
        await live(scope, receive, send)
    elif scope["type"] == "http":
        await answer(scope, send)
    else:
        raise NotImplementedError(f"this app speaks http and lifespan, not {scope['type']}")


async def answer(scope: Scope, send: Send) -> None:
    """Use what the startup has left in the state: each request has it in its scope."""
    state = scope["state"]
    age_s = time.monotonic() - state["started_at"]
    body = f"Request {next(state['requests'])}, {age_s:.1f} s after startup.\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def live(scope: Scope, receive: Receive, send: Send) -> None:
    """One call, from the beginning to the end of the process."""
    await receive()  # lifespan.startup
    # Here belongs what takes long and is shared: a connection pool, an HTTP client, a model.
    scope["state"].update(started_at=time.monotonic(), requests=itertools.count(1))
    print("tour: started", file=sys.stderr, flush=True)
    await send({"type": "lifespan.startup.complete"})
    await receive()  # lifespan.shutdown
    print("tour: stopped", file=sys.stderr, flush=True)
    await send({"type": "lifespan.shutdown.complete"})


wsgi_app = bridge.to_wsgi(app)
