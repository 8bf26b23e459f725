"""An app of either interface, or of both, whose requests are recorded. Pure."""

from __future__ import annotations

from typing import Any

from bridge._observe.asgi import ObservedAsgi
from bridge._observe.settings import Settings
from bridge._observe.wsgi import ObservedWsgi
from bridge.dual import Universal
from bridge.interface import interface_of

__all__ = ["ObservedUniversal", "app_of", "observed"]


def observed(app: Any, settings: Settings) -> Any:
    """``app`` with the middleware of its interface.

    :param app: WSGI, ASGI, or both: a Router, or what :func:`~bridge.universal` returns.
    :raises AmbiguousApp: its interface cannot be detected.
    """
    if isinstance(app, Universal):
        return ObservedUniversal(app, settings)
    if interface_of(app) == "asgi":
        return ObservedAsgi(app, settings)
    return ObservedWsgi(app, settings)


class ObservedUniversal(Universal):
    """An app of both interfaces. Servers of either call the middleware of theirs."""

    def __init__(self, app: Universal, settings: Settings) -> None:
        super().__init__(ObservedAsgi(app.asgi, settings), ObservedWsgi(app.wsgi, settings))
        self.app = app
        self.mount_options = app.mount_options
        self.needs_start = app.needs_start

    def __repr__(self) -> str:
        return f"observe({self.app!r})"


def app_of(app: Any) -> Any:
    """The app that is observed; any other app as it is."""
    while isinstance(app, (ObservedAsgi, ObservedUniversal, ObservedWsgi)):
        app = app.app
    return app
