"""Startup and shutdown: open shared resources before the first request, close them after the last.

::

    uvicorn lifespan:app
    gunicorn lifespan:wsgi_app -c python:bridge.contrib.gunicorn

Both servers print one line at startup and one at shutdown. Without ``-c``, startup happens with the
first request.
"""

from __future__ import annotations

import itertools
import sys
import time

import bridge
from bridge.types import Receive, Scope, Send


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Count requests with a counter that is created at startup."""
    if scope["type"] == "lifespan":
        await run_lifespan(scope, receive, send)
    elif scope["type"] == "http":
        await respond(scope, send)
    else:
        raise NotImplementedError(f"unsupported scope type: {scope['type']}")


async def respond(scope: Scope, send: Send) -> None:
    """Use the state that startup has filled: every request has it in its scope."""
    state = scope["state"]
    age_s = time.monotonic() - state["started_at"]
    body = f"Request {next(state['requests'])}, {age_s:.1f} s after startup.\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def run_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """Called once per process; lasts from startup to shutdown."""
    await receive()  # lifespan.startup
    # Open shared resources here: a connection pool, an HTTP client, a model.
    scope["state"].update(started_at=time.monotonic(), requests=itertools.count(1))
    print("tour: started", file=sys.stderr, flush=True)
    await send({"type": "lifespan.startup.complete"})
    await receive()  # lifespan.shutdown
    print("tour: stopped", file=sys.stderr, flush=True)
    await send({"type": "lifespan.shutdown.complete"})


wsgi_app = bridge.to_wsgi(app)
