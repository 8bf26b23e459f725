"""``bridge.cli.bench.served:app``: what `bridge bench` tells every server to import.

What enters: ``BRIDGE_BENCH`` in the environment, as :class:`WayToServe` leaves it. What leaves: the
user's app, in one of the ways it could be served. Runs where the server imports its app.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import bridge
from bridge.cli.load.loader import load
from bridge.types import Interface

__all__ = ["TARGET", "VARIABLE", "WayToServe"]

VARIABLE = "BRIDGE_BENCH"
TARGET = "bridge.cli.bench.served:app"


@dataclass(frozen=True, kw_only=True)
class WayToServe:
    """How the app is to be wrapped.

    :ivar wrapped: a key of :data:`WRAPPERS`.
    :ivar interface: the app's own.
    """

    target: str
    app_dir: str | None
    interface: Interface
    wrapped: str
    threads: int

    def environment(self) -> dict[str, str]:
        return {VARIABLE: json.dumps(asdict(self))}


def _plain(app: Any, way: WayToServe) -> Any:
    return app


def _bridge(app: Any, way: WayToServe) -> Any:
    return bridge.AsgiToWsgi(app) if way.interface == "asgi" else _to_asgi(app, way)


def _to_asgi(app: Any, way: WayToServe) -> Any:
    return bridge.WsgiToAsgi(app, threads=way.threads)


def _a2wsgi(app: Any, way: WayToServe) -> Any:
    import a2wsgi

    if way.interface == "asgi":
        return a2wsgi.ASGIMiddleware(app)
    return a2wsgi.WSGIMiddleware(app, workers=way.threads)


def _hybrid(app: Any, way: WayToServe) -> Any:
    from bridge.contrib.django import get_asgi_application

    return get_asgi_application(threads=way.threads)


def _django(app: Any, way: WayToServe) -> Any:
    from django.core.asgi import get_asgi_application

    return get_asgi_application()


WRAPPERS: dict[str, Callable[[Any, WayToServe], Any]] = {
    "plain": _plain,
    "bridge": _bridge,
    "a2wsgi": _a2wsgi,
    "bridge.contrib.django": _hybrid,
    "django": _django,
}


def _build() -> Any:
    way = WayToServe(**json.loads(os.environ[VARIABLE]))
    return WRAPPERS[way.wrapped](load(way.target, app_dir=way.app_dir).app, way)


def __getattr__(name: str) -> Any:
    """``app``, made when a server asks for it: whoever imports the rest of this module does not."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made = globals()["app"] = _build()
    return made
