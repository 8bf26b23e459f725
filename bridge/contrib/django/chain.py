"""The project's middleware: which are in use, and whether an async view may run inside them.

What enters: a handler of Django's while it loads ``MIDDLEWARE``. What leaves: the middleware that
did not take themselves out, and the reasons against running them on the event loop. On the thread
that makes the handler.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.handlers.base import BaseHandler
from django.utils.deprecation import MiddlewareMixin
from django.utils.module_loading import import_string

from bridge.contrib.django.hops import Middleware, base_named, describe, overrides_call

__all__ = ["ChainRecorder", "Link", "why_not_async"]

_ANNOUNCED = "middleware "


@dataclass(frozen=True, slots=True)
class Link:
    """One middleware in use: its dotted path, what the path leads to, and what that has made."""

    name: str
    factory: Any
    made: Any

    def describe(self) -> Middleware:
        """What it costs under Django's own ASGI handler."""
        return describe(self.name, self.factory)


class ChainRecorder(BaseHandler):
    """A handler that knows which middleware are in use.

    Django asks ``adapt_method_mode`` before it makes each one, from the innermost outwards, and for
    the whole chain at last. One that raises ``MiddlewareNotUsed`` leaves the chain as it was.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        """Django's own, noting what passes."""
        self._offered: list[tuple[str, object]] = []
        super().load_middleware(is_async)

    def adapt_method_mode(
        self,
        is_async: bool,
        method: Any,
        method_is_async: bool | None = None,
        debug: bool = False,
        name: str | None = None,
    ) -> Any:
        """Django's own, noting what passes."""
        self._whole: object = method
        if name is not None and name.startswith(_ANNOUNCED):
            self._offered.append((name.removeprefix(_ANNOUNCED), method))
        return super().adapt_method_mode(is_async, method, method_is_async, debug, name)

    def links(self) -> tuple[Link, ...]:
        """The middleware in use, outermost first, as in ``MIDDLEWARE``."""
        inner = [method for _, method in self._offered]
        pairs = zip(self._offered, [*inner[1:], self._whole], strict=False)
        used = [(name, after) for (name, method), after in pairs if after is not method]
        return tuple(
            # Django wraps each in one that turns exceptions into responses.
            Link(name, import_string(name), getattr(made, "__wrapped__", made))
            for name, made in reversed(used)
        )


def why_not_async(links: Sequence[Link]) -> str | None:
    """Why no async view may run on the event loop inside this chain; None if it may."""
    return next((f"{link.name} {reason}" for link in links for reason in _reasons(link)), None)


def _reasons(link: Link) -> Iterator[str]:
    factory = link.factory
    if not getattr(factory, "async_capable", False):
        yield "is sync-only"
    elif base_named(factory, "django.contrib.auth.middleware", "RemoteUserMiddleware"):
        yield "trusts REMOTE_USER, which a client can send as a header under ASGI"
    elif overrides_call(factory):
        yield "has a sync __call__ of its own"
    elif isinstance(link.made, MiddlewareMixin) and not hasattr(link.made, "async_mode"):
        yield "does not call super().__init__(), so its hooks would be left out"
