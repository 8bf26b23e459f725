"""How often Django's own ASGI handler hands a request to another thread. Pure; no Django needed.

What enters: the middleware of a project, as :class:`Middleware`. What leaves: a number of hops. Any
thread.

Under ``django.core.handlers.asgi.ASGIHandler`` every hook that is a plain function, and a sync
view, is a trip to a worker thread and back: ``sync_to_async``. Three are there without any
middleware: ``request_started``, the view, and ``response.close()``. The others follow from how
Django builds the chain, from the view outwards:

- a middleware runs sync if the chain inside it already is sync, and async if it can;
- a `MiddlewareMixin` that runs async makes one hop for each of its ``process_request`` and
  ``process_response``, one that runs sync makes none;
- each ``process_view`` is one hop, wherever its middleware is;
- wherever async code calls a sync part of the chain, that is one hop.

startproject's seven: 3 + 12 + 1 = 16.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

__all__ = ["Middleware", "base_named", "describe", "overrides_call", "thread_hops"]


@dataclass(frozen=True, slots=True)
class Middleware:
    """What one middleware costs.

    :ivar name: its dotted path.
    :ivar sync_capable: it can run in a sync chain.
    :ivar async_capable: it can run in an async chain.
    :ivar hooks: how many hops it makes in an async chain, around what is inside it.
    :ivar view_hook: it has a ``process_view`` that is a plain function.
    :ivar template_hook: it has a ``process_template_response`` that is a plain function.
    """

    name: str
    sync_capable: bool
    async_capable: bool
    hooks: int
    view_hook: bool
    template_hook: bool


def describe(name: str, factory: Any) -> Middleware:
    """Look at a middleware factory: a class, or a function that makes a middleware.

    :param name: its dotted path, as in ``MIDDLEWARE``.
    """
    mixin = _mixin_of(factory)
    through_mixin = mixin is not None and factory.__acall__ is mixin.__acall__
    return Middleware(
        name=name,
        sync_capable=bool(getattr(factory, "sync_capable", True)),
        async_capable=bool(getattr(factory, "async_capable", False)),
        hooks=_plain(factory, "process_request", "process_response") if through_mixin else 0,
        view_hook=_plain(factory, "process_view") == 1,
        template_hook=_plain(factory, "process_template_response") == 1,
    )


def thread_hops(
    chain: Iterable[Middleware], *, async_view: bool = False, template_response: bool = False
) -> int:
    """How many hops a request makes under Django's own ASGI handler.

    :param chain: the middleware in use, outermost first, as in ``MIDDLEWARE``. One that raised
        ``MiddlewareNotUsed`` does not belong here.
    :param async_view: the view is a coroutine function: it needs no thread.
    :param template_response: the view returns a ``TemplateResponse``, which is rendered later.
    """
    middleware = list(chain)
    hops = 3 - async_view
    inside_is_async = True
    for each in reversed(middleware):
        is_async = each.async_capable and (inside_is_async or not each.sync_capable)
        if is_async:
            hops += each.hooks + (not inside_is_async)
        inside_is_async = is_async
        hops += each.view_hook
    hops += not inside_is_async
    if template_response:
        hops += 1 + sum(each.template_hook for each in middleware)
    return hops


def overrides_call(factory: Any) -> bool:
    """Whether a `MiddlewareMixin` has a plain ``__call__`` of its own, and no word about async.

    Such a middleware inherits ``async_capable = True`` without keeping it: in an async chain its
    ``__call__`` gets a coroutine where it takes a response.
    """
    mixin = _mixin_of(factory)
    if mixin is None or factory.__call__ is mixin.__call__:
        return False
    own = factory.__mro__[: factory.__mro__.index(mixin)]
    says_so = any("async_capable" in vars(each) for each in own)
    return not says_so and not inspect.iscoroutinefunction(factory.__call__)


def _mixin_of(factory: Any) -> Any:
    return base_named(factory, "django.utils.deprecation", "MiddlewareMixin")


def base_named(factory: Any, module: str, name: str) -> Any:
    """The class of that name among the bases of a class, without importing it; None if none is."""
    bases = factory.__mro__ if inspect.isclass(factory) else ()
    return next(
        (each for each in bases if (each.__module__, each.__name__) == (module, name)), None
    )


def _plain(factory: Any, *hooks: str) -> int:
    """How many of these methods there are that are not coroutine functions."""
    methods = (getattr(factory, hook, None) for hook in hooks)
    return sum(each is not None and not inspect.iscoroutinefunction(each) for each in methods)
