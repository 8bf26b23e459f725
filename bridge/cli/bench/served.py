"""``bridge.cli.bench.served:app``, the app that `bridge bench` makes every server import.

Input: ``BRIDGE_BENCH`` in the environment, an :class:`AppSpec` as JSON. Output: the user's app,
wrapped as the setup requires. Runs in the server process, on the thread that imports the app.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from bridge.cli.load.target import load
from bridge.types import Interface

__all__ = ["TARGET", "VARIABLE", "AppSpec"]

VARIABLE = "BRIDGE_BENCH"
TARGET = "bridge.cli.bench.served:app"


@dataclass(frozen=True, kw_only=True)
class AppSpec:
    """The app to load, and how to wrap it.

    :ivar wrapper: a key of :data:`WRAPPERS`.
    :ivar interface: the app's own.
    """

    target: str
    app_dir: str | None
    interface: Interface
    wrapper: str
    threads: int

    def environment(self) -> dict[str, str]:
        return {VARIABLE: json.dumps(asdict(self))}


# Each wrapper imports its adapter itself: a2wsgi and Django need not be installed.


def _plain(app: Any, spec: AppSpec) -> Any:
    return app


def _bridge(app: Any, spec: AppSpec) -> Any:
    from bridge.asgi_to_wsgi import AsgiToWsgi
    from bridge.wsgi_to_asgi import WsgiToAsgi

    return AsgiToWsgi(app) if spec.interface == "asgi" else WsgiToAsgi(app, threads=spec.threads)


def _a2wsgi(app: Any, spec: AppSpec) -> Any:
    import a2wsgi

    if spec.interface == "asgi":
        return a2wsgi.ASGIMiddleware(app)
    return a2wsgi.WSGIMiddleware(app, workers=spec.threads)


def _hybrid(app: Any, spec: AppSpec) -> Any:
    from bridge.contrib.django import get_asgi_application

    return get_asgi_application(threads=spec.threads)


def _django(app: Any, spec: AppSpec) -> Any:
    from django.core.asgi import get_asgi_application

    return get_asgi_application()


WRAPPERS: dict[str, Callable[[Any, AppSpec], Any]] = {
    "plain": _plain,
    "bridge": _bridge,
    "a2wsgi": _a2wsgi,
    "bridge.contrib.django": _hybrid,
    "django": _django,
}


def _build() -> Any:
    spec = AppSpec(**json.loads(os.environ[VARIABLE]))
    return WRAPPERS[spec.wrapper](load(spec.target, app_dir=spec.app_dir).app, spec)


def __getattr__(name: str) -> Any:
    """``app``, built on first access: only the server process loads it."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    built = globals()["app"] = _build()
    return built
