"""What bridge knows of frameworks and servers by name, except Django. Pure; imports none of them.

A framework or server that follows the specifications needs no entry.

Before they call an app, servers inspect it to detect ASGI 3; :class:`bridge.dual.Universal` answers
all of them:

=====================  =============================================================================
uvicorn                ``iscoroutinefunction(app.__call__)``: of inspect, on 3.11 of asyncio
hypercorn              ``iscoroutinefunction(app.__call__)``: of inspect
daphne, Channels       asgiref's ``_asgi_single_callable``, then ``iscoroutinefunction``
granian, gunicorn      nothing: ``--interface`` and ``-k`` choose the interface
WSGI servers           nothing
=====================  =============================================================================
"""

from __future__ import annotations

from bridge.types import Interface

__all__ = [
    "APP_ATTRIBUTES",
    "INPUTS_WITH_AN_END",
    "OPAQUE_WRAPPERS",
    "ROUTING_KEYS",
    "ignores_root_path",
    "logs_failures_twice",
]

_IGNORE_ROOT_PATH = frozenset({"falcon.asgi.app.App", "sanic.app.Sanic"})
"""Frameworks that route by the whole ``path``, or ``raw_path``, and ignore ``root_path``."""

ROUTING_KEYS = ("router", "app_root_path", "endpoint", "path_params", "route")
"""What the routing of Starlette, and of FastAPI, stores in a scope for the rest of the same app. An
app that is mounted in it would build the URLs of the outer app with these."""

OPAQUE_WRAPPERS: dict[str, Interface] = {
    "wsgiref.validate:validator.<locals>.lint_app": "wsgi",
    "werkzeug.wrappers.request:Request.application.<locals>.application": "wsgi",
    "webob.dec:wsgify": "wsgi",
}
"""Wrappers with the signature ``(*args, **kwargs)`` that either have no ``__wrapped__`` or one that
misleads, by where their code is defined: `functools.wraps` does not change that."""

APP_ATTRIBUTES = {
    "as_asgi": "{}.as_asgi()",  # consumers of Channels
    "streamable_http_app": "{}.streamable_http_app()",  # servers of the MCP SDK
    "http_app": "{}.http_app()",  # servers of FastMCP
    "wsgi_app": "{}.wsgi_app",  # Flask, and extensions of it
    "asgi_app": "{}.asgi_app",  # Quart, and python-socketio
    "app": "{}.app",
    "application": "{}.application",
    "server": "{}.server",  # Dash
}
"""Attributes of an object that is not an app but has one: how to write the app in Python."""

INPUTS_WITH_AN_END = frozenset({"twisted.web.wsgi"})
"""The modules whose ``wsgi.input`` ends where a chunked body does, without
``wsgi.input_terminated``. Twisted receives and decodes the whole body before it calls the app."""


def ignores_root_path(app: object) -> bool:
    """Whether the framework of ``app`` routes by the whole path, whatever ``root_path`` is."""
    return any(
        f"{each.__module__}.{each.__qualname__}" in _IGNORE_ROOT_PATH for each in type(app).__mro__
    )


def logs_failures_twice(send: object) -> bool:
    """Whether the server that has made this ``send`` of a lifespan logs a failed startup twice if
    the app raises after the message: granian 2.8 does."""
    return type(getattr(send, "__self__", None)).__module__ == "granian.asgi"
