"""`universal`: an app of either interface becomes one that every server can call.

What enters: any app. What leaves: a :class:`~bridge.Router` that has it at ``/``, and nothing else.
Runs where the user's module is imported; starts nothing.
"""

from __future__ import annotations

from typing import Unpack

from bridge.dual import Universal
from bridge.router.mounts import AnyApp
from bridge.router.options import RouterKeywords
from bridge.router.router import Router

__all__ = ["universal"]


def universal(app: AnyApp, **options: Unpack[RouterKeywords]) -> Universal:
    """Make ``app`` servable by ASGI and WSGI servers alike, without telling either.

    ::

        app = bridge.universal(flask_app)    # uvicorn main:app, and gunicorn main:app

    On a server of the app's own interface it is called as it is. On others it crosses, as with
    :func:`to_asgi` and :func:`to_wsgi`. An ASGI app's lifespan runs once in each process, also on
    servers that send none.

    :param app: a WSGI app, or an ASGI app. A Router, and what this function has returned, comes
        back unchanged.
    :param options: those of :class:`~bridge.WsgiToAsgi` and :class:`~bridge.AsgiToWsgi`.
    :raises AmbiguousApp: which of the two it is cannot be told; the message says how to choose.
    :raises ConfigError: an option is wrong.
    """
    if isinstance(app, Universal):
        return app
    return Router({"/": app}, **options)
