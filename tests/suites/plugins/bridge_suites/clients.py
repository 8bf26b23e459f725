"""Where each project's test client calls the app: the crossing is put in there.

Each function changes one library, before any of its tests is imported.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from .adapters import asgi_crossing, counted, through, wsgi_crossing, wsgi_to_asgi

__all__ = ["cross_client"]


def cross_asgiref() -> None:
    """asgiref's functions and its ``WsgiToAsgi`` are replaced by ours."""
    if through() == "bridge":
        import bridge

        functions = _module("asgiref.sync")
        functions.sync_to_async = counted(bridge.sync_to_async)
        functions.async_to_sync = counted(bridge.async_to_sync)
    _module("asgiref.wsgi").WsgiToAsgi = wsgi_to_asgi


def cross_werkzeug() -> None:
    """``werkzeug.test.Client`` and Flask's, and tests that call ``run_wsgi_app``.

    Werkzeug calls that function within a request, too, to make a response of an app's: no client's
    call, so it gets no crossing.
    """
    module = _module("werkzeug.test")
    run_wsgi_app = module.run_wsgi_app

    @functools.wraps(run_wsgi_app)
    def cross(app: Any, environ: Any, buffered: bool = False) -> Any:
        if sys._getframe(1).f_globals["__name__"] != "werkzeug.wrappers.response":
            app = wsgi_crossing(app)
        return run_wsgi_app(app, environ, buffered)

    module.run_wsgi_app = cross


def cross_starlette() -> None:
    """``starlette.testclient.TestClient``, which FastAPI has under its own name."""
    transport = _module("starlette.testclient")._TestClientTransport
    init = transport.__init__

    @functools.wraps(init)
    def cross(self: Any, app: Any, *args: Any, **kwargs: Any) -> None:
        init(self, asgi_crossing(app), *args, **kwargs)

    transport.__init__ = cross


def cross_bottle() -> None:
    """The base class of Bottle's tests: it calls ``self.wsgiapp``."""
    base = _module("test.tools").ServerTestBase
    set_up = base.setUp

    @functools.wraps(set_up)
    def cross(self: Any) -> None:
        set_up(self)
        self.wsgiapp = wsgi_crossing(self.wsgiapp)

    base.setUp = cross


def cross_webtest() -> None:
    """``webtest.TestApp``, which Pyramid's functional tests use."""
    client = _module("webtest").TestApp
    init = client.__init__

    @functools.wraps(init)
    def cross(self: Any, app: Any, *args: Any, **kwargs: Any) -> None:
        init(self, wsgi_crossing(app) if callable(app) else app, *args, **kwargs)

    client.__init__ = cross


def _module(name: str) -> Any:
    """A module of the suite's environment, for changes."""
    return import_module(name)


def cross_django() -> None:
    """``django.test.Client`` and ``AsyncClient``."""
    from .django_client import cross_clients

    cross_clients()


_CLIENTS: dict[str, Callable[[], None]] = {
    "asgiref": cross_asgiref,
    "bottle": cross_bottle,
    "django": cross_django,
    "starlette": cross_starlette,
    "webtest": cross_webtest,
    "werkzeug": cross_werkzeug,
}


def cross_client() -> None:
    """Put the crossing into the client that ``BRIDGE_SUITES_CLIENT`` names, unless run bare."""
    if through() != "nothing":
        _CLIENTS[os.environ["BRIDGE_SUITES_CLIENT"]]()
