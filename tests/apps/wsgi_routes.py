"""The routing table of the WSGI conformance app, and helpers for its routes.

:func:`route` adds an app to ``ROUTES``, wrapped in ``wsgiref.validate.validator`` unless
``validated=False``.
"""

from __future__ import annotations

import contextvars
import json
import threading
from collections.abc import Callable, Iterable
from urllib.parse import parse_qs
from wsgiref.validate import validator

from bridge.types import Environ, StartResponse, WsgiApp

PLAIN = [("Content-Type", "text/plain; charset=utf-8")]
ROUTES: dict[str, WsgiApp] = {}

current_user: contextvars.ContextVar[str] = contextvars.ContextVar("current_user", default="-")


class Boom(Exception):
    """The exception of these apps. Its message is the test's key, to find it in a log."""


def route(path: str, *, validated: bool = True) -> Callable[[WsgiApp], WsgiApp]:
    """Serve an app at ``path`` and below it."""

    def add(app: WsgiApp) -> WsgiApp:
        ROUTES[path] = validator(app) if validated else app
        return app

    return add


def dispatch(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Call the route with the longest matching path."""
    path: str = environ["PATH_INFO"]
    while path and path not in ROUTES:
        path = path.rpartition("/")[0]
    return ROUTES.get(path, not_found)(environ, start_response)


@validator
def not_found(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("404 Not Found", PLAIN)
    return [b"no such route"]


def query(environ: Environ) -> dict[str, str]:
    """The query string as a dict, decoded as latin-1, so that it can contain any byte."""
    pairs = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True, encoding="latin-1")
    return {name: values[-1] for name, values in pairs.items()}


def as_json(start_response: StartResponse, value: object) -> list[bytes]:
    """A complete JSON response."""
    body = json.dumps(value).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]


def where() -> dict[str, object]:
    """The thread and context that the caller runs in."""
    return {
        "thread": threading.get_ident(),
        "thread_name": threading.current_thread().name,
        "user": current_user.get(),
    }
