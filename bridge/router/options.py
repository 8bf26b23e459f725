"""Options of :class:`~bridge.Router` and `bridge.universal`: those of both adapters. Pure.

Input: keyword arguments. Output: the same, checked by the rules of the adapters and sorted by the
adapter that takes them; or :class:`~bridge.errors.ConfigError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.config import (
    TO_ASGI,
    TO_WSGI,
    ToAsgiKeywords,
    ToAsgiOptions,
    ToWsgiOptions,
    WebSocketKeywords,
    check_names,
)
from bridge.errors import ConfigError
from bridge.types import LifespanMode, LoopFactory

__all__ = ["RouterKeywords", "RouterOptions", "check_mount_options"]


class RouterKeywords(ToAsgiKeywords, WebSocketKeywords, total=False):
    """What :class:`~bridge.Router` passes on to the adapters that it needs."""

    lifespan: LifespanMode
    loop_factory: LoopFactory | None
    startup_timeout_s: float
    task_timeout_s: float | None


_OF_THE_LOOP = ("loop_factory", "task_timeout_s")


class RouterOptions:
    """The options of one Router.

    :ivar given: the options that the user has set, by name.
    :ivar to_asgi: all options for WSGI apps on ASGI servers, with defaults.
    :ivar to_wsgi: all options for ASGI apps on WSGI servers, and for their lifespans on any server,
        with defaults.
    :raises ConfigError: an option is unknown, or its value is wrong.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = dict(given)
        check_names(given, TO_ASGI | TO_WSGI)
        self.to_asgi = ToAsgiOptions(**self._part(TO_ASGI))
        self.to_wsgi = ToWsgiOptions(**self._part(TO_WSGI))

    def _part(self, names: frozenset[str]) -> dict[str, Any]:
        return {name: value for name, value in self.given.items() if name in names}

    @property
    def for_to_asgi(self) -> dict[str, Any]:
        """The given options that `WsgiToAsgi` takes."""
        return self._part(TO_ASGI)

    @property
    def for_to_wsgi(self) -> dict[str, Any]:
        """The given options that `AsgiToWsgi` takes."""
        return self._part(TO_WSGI)

    def check_same_loop(self, inner: ToWsgiOptions, prefix: str) -> None:
        """Check that a mounted app does not choose a loop: all apps of a Router share one.

        :raises ConfigError: an option of the loop has another value in ``inner``. Names the prefix.
        """
        for name in _OF_THE_LOOP:
            value = getattr(inner, name)
            if value is not None and value != getattr(self.to_wsgi, name):
                raise ConfigError(
                    name,
                    value,
                    f"one value for all apps of a Router: the app mounted at {prefix!r} has its "
                    "own. Pass it to the outermost Router",
                )


def check_mount_options(given: Mapping[str, Any]) -> None:
    """Check the options of one mount: those of the adapter for a WSGI app.

    :raises ConfigError: an option is unknown, or its value is wrong.
    """
    check_names(given, TO_ASGI)
    ToAsgiOptions(**given)
