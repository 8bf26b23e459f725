"""How often Django's own ASGI handler hands a request to another thread. Pure; needs no Django.

Input: the middleware of a project, as :class:`Middleware`. Output: the number of hops, as
:mod:`bridge.migrate.hops` computes it from the steps in which Django builds the chain. Safe on any
thread.

startproject's seven middleware, with a sync view, make 16 hops.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bridge.migrate.facts import MiddlewareFact
from bridge.migrate.hops import hops

__all__ = ["Middleware", "base_named", "describe", "overrides_call", "thread_hops"]


@dataclass(frozen=True, slots=True)
class Middleware:
    """What one middleware costs.

    :ivar name: its dotted path.
    :ivar sync_capable: it can run in a sync chain.
    :ivar async_capable: it can run in an async chain.
    :ivar hooks: how many hops it makes in an async chain, before and after the view: 0 to 2.
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
    """Inspect a middleware factory: a class, or a function that returns a middleware.

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

    :param chain: the middleware in use, outermost first, as in ``MIDDLEWARE``. Middleware that
        raised ``MiddlewareNotUsed`` must not be in it.
    :param async_view: the view is a coroutine function: it needs no thread.
    :param template_response: the view returns a ``TemplateResponse``, which is rendered later.
    """
    facts = [_fact(each) for each in chain]
    return len(hops(facts, is_async_view=async_view, is_template=template_response))


def _fact(middleware: Middleware) -> MiddlewareFact:
    hooks = ("process_request", "process_response")[: middleware.hooks]
    hooks += ("process_view",) * middleware.view_hook
    hooks += ("process_template_response",) * middleware.template_hook
    return MiddlewareFact(
        middleware.name,
        sync_capable=middleware.sync_capable,
        async_capable=middleware.async_capable,
        hooks=hooks,
    )


def overrides_call(factory: Any) -> bool:
    """Whether a `MiddlewareMixin` overrides ``__call__`` with a plain function, and does not set
    ``async_capable``.

    Such a middleware inherits ``async_capable = True``, but does not support it: in an async chain
    its ``__call__`` gets a coroutine where it expects a response.
    """
    mixin = _mixin_of(factory)
    if mixin is None or factory.__call__ is mixin.__call__:
        return False
    subclasses = factory.__mro__[: factory.__mro__.index(mixin)]
    declares_it = any("async_capable" in vars(each) for each in subclasses)
    return not declares_it and not inspect.iscoroutinefunction(factory.__call__)


def _mixin_of(factory: Any) -> Any:
    return base_named(factory, "django.utils.deprecation", "MiddlewareMixin")


def base_named(factory: Any, module: str, name: str) -> Any:
    """The base class with that name, found without importing it; None if there is none."""
    bases = factory.__mro__ if inspect.isclass(factory) else ()
    return next(
        (each for each in bases if (each.__module__, each.__name__) == (module, name)), None
    )


def _plain(factory: Any, *hooks: str) -> int:
    """How many of these methods exist and are not coroutine functions."""
    methods = (getattr(factory, hook, None) for hook in hooks)
    return sum(each is not None and not inspect.iscoroutinefunction(each) for each in methods)
