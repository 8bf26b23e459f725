"""`to_asgi` and `to_wsgi`: convert an app to the other interface, if it needs converting.

Input: any app. Output: the same object if it supports that interface already, else an adapter
around it. Runs where the user's module is imported; starts nothing.
"""

from __future__ import annotations

from typing import Any, Unpack, cast

from bridge.asgi_to_wsgi.adapter import AsgiToWsgi
from bridge.config import (
    TO_ASGI,
    TO_WSGI,
    ToAsgiKeywords,
    ToAsgiOptions,
    ToWsgiKeywords,
    ToWsgiOptions,
    check_names,
)
from bridge.dual import Universal
from bridge.interface import interface_of
from bridge.types import AsgiApp, WsgiApp
from bridge.wsgi_to_asgi.adapter import WsgiToAsgi

__all__ = ["to_asgi", "to_wsgi"]


def to_asgi(app: AsgiApp | WsgiApp | Any, **options: Unpack[ToAsgiKeywords]) -> AsgiApp:
    """Make ``app`` servable by uvicorn, hypercorn, granian, daphne and any other ASGI server.

    ::

        app = bridge.to_asgi(flask_app)      # uvicorn main:app

    :param app: a WSGI app, or an ASGI app, which is returned unchanged.
    :param options: those of :class:`~bridge.WsgiToAsgi`. They are checked for every app, and have
        no effect on one that is returned unchanged.
    :raises AmbiguousApp: the interface of ``app`` cannot be detected; the message explains how to
        choose one.
    :raises ConfigError: an option is wrong, or there is none of this name.
    """
    check_names(options, TO_ASGI)
    if interface_of(app) == "asgi":  # also of an app with both interfaces
        ToAsgiOptions(**options)  # raises for a wrong value
        return cast("AsgiApp", app)
    return WsgiToAsgi(cast("WsgiApp", app), **options)


def to_wsgi(app: AsgiApp | WsgiApp | Any, **options: Unpack[ToWsgiKeywords]) -> WsgiApp:
    """Make ``app`` servable by gunicorn, waitress, mod_wsgi, Passenger and any other WSGI server.

    ::

        app = bridge.to_wsgi(fastapi_app)    # gunicorn main:app

    :param app: an ASGI app, or a WSGI app, which is returned unchanged.
    :param options: those of :class:`~bridge.AsgiToWsgi`. They are checked for every app, and have
        no effect on one that is returned unchanged.
    :raises AmbiguousApp: the interface of ``app`` cannot be detected; the message explains how to
        choose one.
    :raises ConfigError: an option is wrong, or there is none of this name.
    """
    check_names(options, TO_WSGI)
    if isinstance(app, Universal) or interface_of(app) == "wsgi":
        ToWsgiOptions(**options)  # raises for a wrong value
        return cast("WsgiApp", app)
    return AsgiToWsgi(cast("AsgiApp", app), **options)
