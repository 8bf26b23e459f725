"""The other direction: a WSGI app (PEP 3333) on an ASGI server.

::

    gunicorn wsgi_hello:wsgi_app      a WSGI server calls the app directly
    uvicorn wsgi_hello:app            an ASGI server calls it through bridge
"""

from __future__ import annotations

from collections.abc import Iterable

import bridge
from bridge.types import Environ, StartResponse


def wsgi_app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer every request with the same text."""
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [b"Hello from a WSGI app.\n"]


app = bridge.to_asgi(wsgi_app)
