"""Views that hold a worker thread for as long as a client listens, found without calling them.

Input: a ``django.urls.URLResolver`` whose patterns have been imported. Output: the names of views
that send server-sent events from a sync generator. Runs on: the thread that walks the URLconf.

A view is named only if its code, or that of its class, names ``StreamingHttpResponse``,
``text/event-stream`` and a sync generator, and no async one. `bridge migrate check` (V410) reads
the source and finds more: endless streams of any type, and responses that other functions make.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from types import CodeType, FunctionType
from typing import Any

from django.urls import URLPattern, URLResolver

__all__ = ["sync_event_streams"]

EVENTS = "text/event-stream"
METHODS = ("dispatch", "get", "post")
DEPTH = 20
"""Of nested URLconfs; one that includes itself has no end."""


def sync_event_streams(resolver: URLResolver) -> list[str]:
    """The dotted names of such views, in the order of the URLconf."""
    found = {_name(view): None for view in _views(resolver, DEPTH) if _holds_a_thread(view)}
    return list(found)


def _views(resolver: Any, depth: int) -> Iterator[Any]:
    try:
        patterns = list(resolver.url_patterns) if depth else []
    except Exception:  # the walk has logged it
        return
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            yield pattern.callback
        elif isinstance(pattern, URLResolver):
            yield from _views(pattern, depth - 1)


def _name(view: Any) -> str:
    view = _class_of(view) or inspect.unwrap(view)
    return f"{view.__module__}.{view.__qualname__}"


def _class_of(view: Any) -> Any:
    """The class of ``as_view()``, Django's or REST framework's."""
    return getattr(view, "view_class", None) or getattr(view, "cls", None)


def _holds_a_thread(view: Any) -> bool:
    cls = _class_of(view)
    if cls is None:
        functions = [inspect.unwrap(view)]
    else:
        functions = [inspect.unwrap(getattr(cls, name)) for name in METHODS if hasattr(cls, name)]
    return any(type(each) is FunctionType and _sends_sync_events(each, cls) for each in functions)


def _sends_sync_events(function: FunctionType, cls: Any) -> bool:
    code = function.__code__
    types = [each for each in _constants(code) if isinstance(each, str)]
    if "StreamingHttpResponse" not in code.co_names or not any(
        each.startswith(EVENTS) for each in types
    ):
        return False
    flags = [each.co_flags for each in code.co_consts if _is_named_function(each)]
    for name in code.co_names:
        called = getattr(cls, name, None) or function.__globals__.get(name)
        if inspect.isfunction(called):
            flags.append(called.__code__.co_flags)
    is_async = any(each & inspect.CO_ASYNC_GENERATOR for each in flags)
    return not is_async and any(each & inspect.CO_GENERATOR for each in flags)


def _constants(code: CodeType) -> Iterable[object]:
    """Also those in tuples and dicts that the compiler has folded."""
    for each in code.co_consts:
        yield from each if isinstance(each, tuple) else (each,)


def _is_named_function(constant: object) -> bool:
    """A nested function, but not a generator expression, which may be there for anything."""
    return isinstance(constant, CodeType) and not constant.co_name.startswith("<")
