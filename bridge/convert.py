"""`to_asgi` and `to_wsgi`: an app of either interface becomes one of the other, where need be.

What enters: any app. What leaves: the same object if it speaks that interface already, else an
adapter around it. Runs where the user's module is imported; starts nothing.
"""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any, TypedDict, Unpack, cast

from bridge.asgi_to_wsgi.adapter import AsgiToWsgi
from bridge.dual import Universal
from bridge.interface import interface_of
from bridge.types import (
    AsgiApp,
    LifespanMode,
    LoopFactory,
    TrustedEnviron,
    UnderscoreHeaders,
    WsgiApp,
)
from bridge.wsgi_to_asgi.adapter import WsgiToAsgi

__all__ = ["to_asgi", "to_wsgi"]


class ToAsgiKeywords(TypedDict, total=False):
    """What :func:`to_asgi` passes on to :class:`~bridge.WsgiToAsgi`."""

    threads: int
    executor: Executor | None
    backlog: int
    body_window: int
    response_window: int
    underscore_headers: UnderscoreHeaders
    duplicate_header_limit: int
    trusted_environ: TrustedEnviron | None
    shutdown_timeout_s: float
    websocket_threads: int


def to_asgi(app: AsgiApp | WsgiApp | Any, **options: Unpack[ToAsgiKeywords]) -> AsgiApp:
    """Make ``app`` servable by uvicorn, hypercorn, granian, daphne and any other ASGI server.

    ::

        app = bridge.to_asgi(flask_app)      # uvicorn main:app

    :param app: a WSGI app, or an ASGI app, which comes back unchanged.
    :param options: those of :class:`~bridge.WsgiToAsgi`.
    :raises AmbiguousApp: which of the two it is cannot be told; the message says how to choose.
    :raises ConfigError: an option is wrong.
    """
    if interface_of(app) == "asgi":  # what is universal, too
        return cast("AsgiApp", app)
    return WsgiToAsgi(cast("WsgiApp", app), **options)


class ToWsgiKeywords(TypedDict, total=False):
    """What :func:`to_wsgi` passes on to :class:`~bridge.AsgiToWsgi`."""

    lifespan: LifespanMode
    loop_factory: LoopFactory | None
    body_window: int
    response_window: int
    startup_timeout_s: float
    shutdown_timeout_s: float
    task_timeout_s: float | None


def to_wsgi(app: AsgiApp | WsgiApp | Any, **options: Unpack[ToWsgiKeywords]) -> WsgiApp:
    """Make ``app`` servable by gunicorn, waitress, mod_wsgi, Passenger and any other WSGI server.

    ::

        app = bridge.to_wsgi(fastapi_app)    # gunicorn main:app

    :param app: an ASGI app, or a WSGI app, which comes back unchanged.
    :param options: those of :class:`~bridge.AsgiToWsgi`.
    :raises AmbiguousApp: which of the two it is cannot be told; the message says how to choose.
    :raises ConfigError: an option is wrong.
    """
    if isinstance(app, Universal) or interface_of(app) == "wsgi":
        return cast("WsgiApp", app)
    return AsgiToWsgi(cast("AsgiApp", app), **options)
