"""Options of :class:`~bridge.Router` and `bridge.universal`: those of both adapters. Pure.

What enters: keyword arguments. What leaves: the same, checked by the adapters' own rules and sorted
by which adapter takes them; or :class:`~bridge.errors.ConfigError`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from bridge.config import ToAsgiOptions, ToWsgiOptions
from bridge.convert import ToAsgiKeywords
from bridge.errors import ConfigError
from bridge.types import LifespanMode, LoopFactory

__all__ = ["RouterKeywords", "RouterOptions"]


class RouterKeywords(ToAsgiKeywords, total=False):
    """What :class:`~bridge.Router` passes on to the adapters that it needs."""

    lifespan: LifespanMode
    loop_factory: LoopFactory | None
    startup_timeout_s: float
    task_timeout_s: float | None


_TO_ASGI = frozenset(field.name for field in fields(ToAsgiOptions))
_TO_WSGI = frozenset(field.name for field in fields(ToWsgiOptions))
_ONE_LOOP = ("loop_factory", "task_timeout_s")


class RouterOptions:
    """The options as they were given, and what they come down to.

    :ivar given: by name.
    :ivar to_asgi: complete, for WSGI apps on ASGI servers.
    :ivar to_wsgi: complete, for ASGI apps on WSGI servers, and for their lifespans everywhere.
    :raises ConfigError: an option is unknown, or its value is wrong.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = dict(given)
        for name in given:
            if name not in _TO_ASGI | _TO_WSGI:
                raise ConfigError(name, given[name], _no_such_option(name))
        self.to_asgi = ToAsgiOptions(**self._part(_TO_ASGI))
        self.to_wsgi = ToWsgiOptions(**self._part(_TO_WSGI))

    def _part(self, names: frozenset[str]) -> dict[str, Any]:
        return {name: value for name, value in self.given.items() if name in names}

    @property
    def for_to_asgi(self) -> dict[str, Any]:
        """Those of the given ones that `WsgiToAsgi` takes."""
        return self._part(_TO_ASGI)

    @property
    def for_to_wsgi(self) -> dict[str, Any]:
        """Those of the given ones that `AsgiToWsgi` takes."""
        return self._part(_TO_WSGI)

    def refuse_another_loop(self, inner: ToWsgiOptions, prefix: str) -> None:
        """All apps of a Router share a loop: what is mounted cannot choose its own.

        :raises ConfigError: ``inner`` differs in an option of the loop's. Names the prefix.
        """
        for name in _ONE_LOOP:
            value = getattr(inner, name)
            if value is not None and value != getattr(self.to_wsgi, name):
                raise ConfigError(
                    name,
                    value,
                    f"one value for all apps of a Router: what is mounted at {prefix!r} has its "
                    "own. Give it to the outermost Router",
                )


def _no_such_option(name: str) -> str:
    known = sorted(_TO_ASGI | _TO_WSGI)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return f"no value, there is no such option. {hint}There are: {', '.join(known)}"
