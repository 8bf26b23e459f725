"""The project's middleware: which are in use, and whether async views can run inside them.

Input: one of Django's handlers, while it loads ``MIDDLEWARE``. Output: the middleware in use,
without those that raised ``MiddlewareNotUsed``, and why they cannot run on the event loop. Runs on:
the thread that makes the handler.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import django
from django.core.handlers.base import BaseHandler
from django.utils.deprecation import MiddlewareMixin
from django.utils.module_loading import import_string

from bridge.contrib.django.hops import Middleware, base_named, describe, overrides_call

__all__ = ["ChainRecorder", "Link", "why_not_async"]

_NAME_PREFIX = "middleware "


@dataclass(frozen=True, slots=True)
class Link:
    """One middleware in use.

    :ivar name: its dotted path.
    :ivar factory: what that path refers to.
    :ivar made: what the factory has returned.
    """

    name: str
    factory: Any
    made: Any

    def describe(self) -> Middleware:
        """What it costs under Django's own ASGI handler."""
        return describe(self.name, self.factory)


class ChainRecorder(BaseHandler):
    """A handler that records which middleware are in use.

    Django calls ``adapt_method_mode`` before it makes each one, from the innermost to the
    outermost, and once at the end for the whole chain. After one that raised ``MiddlewareNotUsed``
    the chain is the same as before.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        """As in Django; starts the record."""
        self._recorded: list[tuple[str, object]] = []
        super().load_middleware(is_async)

    def adapt_method_mode(
        self,
        is_async: bool,
        method: Any,
        method_is_async: bool | None = None,
        debug: bool = False,
        name: str | None = None,
    ) -> Any:
        """As in Django; adds to the record."""
        self._whole_chain: object = method
        if name is not None and name.startswith(_NAME_PREFIX):
            self._recorded.append((name.removeprefix(_NAME_PREFIX), method))
        return super().adapt_method_mode(is_async, method, method_is_async, debug, name)

    def links(self) -> tuple[Link, ...]:
        """The middleware in use, outermost first, as in ``MIDDLEWARE``."""
        inner = [method for _, method in self._recorded]
        pairs = zip(self._recorded, [*inner[1:], self._whole_chain], strict=False)
        used = [(name, after) for (name, method), after in pairs if after is not method]
        return tuple(
            # Django wraps each one in a function that turns exceptions into responses.
            Link(name, import_string(name), getattr(made, "__wrapped__", made))
            for name, made in reversed(used)
        )


def why_not_async(links: Sequence[Link]) -> str | None:
    """Why async views cannot run on the event loop inside this chain; None if they can."""
    return next((f"{link.name} {reason}" for link in links for reason in _reasons(link)), None)


def _reasons(link: Link) -> Iterator[str]:
    factory = link.factory
    if not getattr(factory, "async_capable", False):
        yield "is sync-only"
    elif base_named(factory, "django.contrib.auth.middleware", "RemoteUserMiddleware"):
        yield "trusts REMOTE_USER, which a client can send as a header under ASGI"
    elif overrides_call(factory):
        yield "overrides __call__ with a sync function"
    elif isinstance(link.made, MiddlewareMixin) and _forgets_super(link.made):
        yield "does not call super().__init__(), so its hooks would not run"


_SETS_ASYNC_MODE = django.VERSION >= (5, 1)
"""Whether ``MiddlewareMixin.__init__`` leaves a trace in this release of Django."""


def _forgets_super(middleware: MiddlewareMixin) -> bool:
    """Whether ``MiddlewareMixin.__init__`` has not run; without a trace, as the code looks."""
    if _SETS_ASYNC_MODE:
        return not hasattr(middleware, "async_mode")
    classes = type(middleware).__mro__
    own = classes[: classes.index(MiddlewareMixin)]
    inits = [vars(each)["__init__"] for each in own if "__init__" in vars(each)]
    return not all({"super", "MiddlewareMixin"} & {*_names(each)} for each in inits)


def _names(function: Any) -> tuple[str, ...]:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return () if code is None else code.co_names
