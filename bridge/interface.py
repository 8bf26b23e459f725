"""WSGI or ASGI? Detected from the app object alone: nothing is imported, nothing is called.

Input: any object, as found in a user's module. Output: ``"wsgi"`` or ``"asgi"``, or
:exc:`~bridge.errors.AmbiguousApp` with the evidence and how to choose. Pure; safe on any thread.

The evidence, strongest first:

1. ``app.__bridge_interface__``, bridge's own marker (unless `functools.wraps` has copied it).
2. asgiref's hints ``_asgi_single_callable`` and ``_asgi_double_callable``.
3. A short list of well-known wrappers whose signature is ``(*args, **kwargs)``.
4. The callable's own signature: coroutine functions are never WSGI; two arguments are PEP 3333's
   ``(environ, start_response)``, three are ASGI 3's ``(scope, receive, send)``; if arguments are
   optional, their names decide.
5. Only if that signature is ``(*args, ...)``: the signature of the function that it wraps
   (``__wrapped__``).
"""

from __future__ import annotations

import functools
import inspect
import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import FunctionType, MethodType, ModuleType
from typing import Any

from asgiref.sync import iscoroutinefunction

from bridge._frameworks.facts import APP_ATTRIBUTES, OPAQUE_WRAPPERS
from bridge.errors import AmbiguousApp
from bridge.types import Interface

__all__ = ["MARKER", "app_inside", "interface_of"]

MARKER = "__bridge_interface__"

_NAMES: dict[Interface, frozenset[str]] = {
    "wsgi": frozenset({"environ", "env", "wsgi_environ", "start_response"}),
    "asgi": frozenset({"scope", "receive", "send"}),
}

_MAX_WRAPPERS = 50  # more than any real stack of decorators; ends a cycle of __wrapped__


@dataclass(frozen=True, slots=True)
class _Shape:
    """How a callable can be called. All decisions below use it."""

    text: str
    names: frozenset[str]
    required: int
    most: float
    needs_keyword: str | None
    is_async: bool

    @property
    def is_variadic(self) -> bool:
        """Whether it takes any number of arguments, so that their number is no evidence."""
        return self.most == math.inf

    def takes(self, count: int) -> bool:
        """Whether a call with ``count`` positional arguments fits the signature."""
        return self.needs_keyword is None and self.required <= count <= self.most

    def named(self) -> Interface | None:
        """The interface whose usual parameter names appear, if it is exactly one."""
        found = [interface for interface, names in _NAMES.items() if names & self.names]
        return found[0] if len(found) == 1 else None


def interface_of(app: object) -> Interface:
    """Detect whether ``app`` is a WSGI or an ASGI 3 application, without calling it.

    Supports functions, coroutine functions, callable instances (with ``async def __call__`` or a
    plain one that returns a coroutine), bound methods, partials, classes used as apps, and
    decorated callables; so it supports the app objects of all frameworks.

    Where the evidence is not enough, set ``app.__bridge_interface__ = "wsgi"`` (or ``"asgi"``).

    :param app: a PEP 3333 callable ``app(environ, start_response)`` or an ASGI 3 callable
        ``app(scope, receive, send)``.
    :returns: ``"wsgi"`` or ``"asgi"``.
    :raises AmbiguousApp: the evidence is not enough, ``app`` is an ASGI 2 app with two steps, or
        it is not an application: a factory, a class to be instantiated, a module, a string. The
        message has the evidence and what to do. The error is also a `TypeError`.
    """
    marked = _marked(app)
    if marked is not None and not _is_copied_marker(app, marked):
        return marked
    if not callable(app):
        raise AmbiguousApp(_not_callable(app))
    found = _hinted(app) or OPAQUE_WRAPPERS.get(_origin(app)) or _by_signature(app) or marked
    if found is None:
        raise AmbiguousApp(_undetectable(app))
    return found


# -- evidence --------------------------------------------------------------------------------------


def _marked(app: object) -> Interface | None:
    if inspect.isclass(app) and _has_call(app):
        return None  # the marker on a class of callables is about its instances
    value = getattr(app, MARKER, None)
    if value is None or value == "wsgi" or value == "asgi":
        return value
    raise AmbiguousApp(f'{_name(app)}.{MARKER} is {value!r}: it takes "wsgi" or "asgi"')


def _is_copied_marker(app: object, marked: Interface) -> bool:
    """Whether `functools.wraps` may have copied the marker, which is about the wrapped app then."""
    wrapped = getattr(app, "__wrapped__", None)
    return wrapped is not None and getattr(wrapped, MARKER, None) == marked


def _hinted(app: object) -> Interface | None:
    if getattr(app, "_asgi_double_callable", False) is True:
        raise AmbiguousApp(_asgi_2(app))
    return "asgi" if getattr(app, "_asgi_single_callable", False) is True else None


def _origin(app: object) -> str:
    function = app.__func__ if isinstance(app, MethodType) else app
    if isinstance(function, FunctionType):
        return f"{function.__globals__.get('__name__')}:{function.__code__.co_qualname}"
    return f"{type(app).__module__}:{type(app).__qualname__}"


def _by_signature(app: Any) -> Interface | None:
    for link in _unwrapped(app):
        shape = _shape(link)
        if shape is None:
            continue
        if _is_asgi_2(link, shape):
            raise AmbiguousApp(_asgi_2(app))
        found = _decide(link, shape)
        if found or not shape.is_variadic:
            return found
    return None


def _unwrapped(app: Any) -> Iterator[Any]:
    """``app``, then the app that it wraps, and so on inwards."""
    for _ in range(_MAX_WRAPPERS):
        yield app
        app = getattr(app, "__wrapped__", None)
        if not callable(app):
            return


def _decide(app: Any, shape: _Shape) -> Interface | None:
    if inspect.isclass(app):
        return _decide_class(app, shape)
    if _is_async_generator(app):
        return None
    return _decide_async(shape) if shape.is_async else _decide_sync(shape)


def _decide_async(shape: _Shape) -> Interface | None:
    is_certain = shape.required == 3 or shape.is_variadic or shape.named() == "asgi"
    return "asgi" if is_certain and shape.takes(3) and shape.named() != "wsgi" else None


def _decide_sync(shape: _Shape) -> Interface | None:
    match shape.named():
        case "wsgi":
            return "wsgi" if shape.takes(2) else None
        case "asgi":
            return "asgi" if shape.takes(3) else None
    if shape.needs_keyword is not None or shape.required != shape.most:
        return None
    return "wsgi" if shape.required == 2 else "asgi" if shape.required == 3 else None


def _decide_class(cls: type, shape: _Shape) -> Interface | None:
    """A class is itself an app if calling it makes the response: PEP 3333's ``AppClass``."""
    found = _decide_sync(shape)
    if found == "asgi":
        return found if hasattr(cls, "__await__") else None
    if found == "wsgi" and not hasattr(cls, "__iter__"):
        return found if shape.named() == "wsgi" and not _has_call(cls) else None
    return found


def _is_asgi_2(app: Any, shape: _Shape) -> bool:
    """``app(scope)`` returns ``instance(receive, send)``, as in ASGI 2."""
    takes_one = shape.required == 1 and not shape.takes(3) and not shape.is_async
    return takes_one and "scope" in shape.names


# -- how a callable can be called ------------------------------------------------------------------


def _shape(app: Any) -> _Shape | None:
    signature = _signature(app)
    if signature is None:
        return None
    parameters = list(signature.parameters.values())
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    keywords = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    return _Shape(
        text=_signature_text(parameters),
        names=frozenset(p.name.strip("_").lower() for p in positional),
        required=sum(p.default is p.empty for p in positional),
        most=math.inf if variadic else len(positional),
        needs_keyword=keywords[0].name if keywords else None,
        is_async=_is_async(app),
    )


def _signature(app: Any) -> inspect.Signature | None:
    """The signature of the callable itself, not of the function that it wraps."""
    try:
        return _read_signature(app)
    except (TypeError, ValueError):
        pass
    try:  # an instance whose class inspect cannot read, for example because of a descriptor
        return _read_signature(MethodType(type(app).__call__, app))
    except (TypeError, ValueError):
        pass
    try:  # or because it is a slot, which each instance fills, as in SentryAsgiMiddleware
        return _read_signature(app.__call__)
    except (TypeError, ValueError):
        return None


if sys.version_info >= (3, 14):
    from annotationlib import Format

    def _read_signature(app: Any) -> inspect.Signature:
        # Names that are imported only under TYPE_CHECKING must not be evaluated.
        return inspect.signature(app, follow_wrapped=False, annotation_format=Format.STRING)
else:

    def _read_signature(app: Any) -> inspect.Signature:
        return inspect.signature(app, follow_wrapped=False)


def _signature_text(parameters: list[inspect.Parameter]) -> str:
    plain = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in parameters]
    return str(inspect.Signature(plain))


def _is_async(app: Any) -> bool:
    """Whether calling ``app`` returns a coroutine, according to its definition."""
    while isinstance(app, functools.partial):
        app = app.func
    if inspect.isclass(app):
        return False
    return _is_coroutine_function(app) or _is_coroutine_function(app.__call__)


def _is_coroutine_function(function: Any) -> bool:
    return bool(iscoroutinefunction(function))


def _is_async_generator(app: Any) -> bool:
    return inspect.isasyncgenfunction(app) or inspect.isasyncgenfunction(app.__call__)


def _has_call(cls: type) -> bool:
    """Whether instances of ``cls`` are callable (`type` itself makes every class callable)."""
    return any("__call__" in vars(base) for base in cls.__mro__)


# -- messages --------------------------------------------------------------------------------------

_TAKES = "WSGI apps take (environ, start_response), ASGI apps take (scope, receive, send)."
_CHOOSE = (
    "To choose, call bridge.WsgiToAsgi({name}) or bridge.AsgiToWsgi({name}) directly, "
    'or set {name}.__bridge_interface__ = "wsgi" (or "asgi").'
)


def _name(app: object) -> str:
    name = getattr(app, "__name__", None)
    return name if isinstance(name, str) and name.isidentifier() else "app"


def _describe(app: object) -> str:
    kind = "class" if inspect.isclass(app) else type(app).__name__
    name = getattr(app, "__qualname__", None)
    module = getattr(app, "__module__", None)
    if isinstance(name, str):
        return f"the {kind} {module}.{name}" if module else f"the {kind} {name}"
    return f"this {type(app).__module__}.{type(app).__qualname__} object"


def _undetectable(app: Any) -> str:
    shape = _shape(app)
    problem = f"cannot detect whether {_describe(app)} is WSGI or ASGI: {_evidence(app, shape)}."
    advice = _suggestion(app, shape) or _CHOOSE.format(name=_name(app))
    return f"{problem} {_TAKES} {advice}"


def _evidence(app: Any, shape: _Shape | None) -> str:
    if shape is None:
        return "its signature cannot be read"
    if _is_async_generator(app):
        return "it is an async generator, which neither interface calls"
    if shape.needs_keyword is not None:
        return f"it cannot be called without the keyword {shape.needs_keyword!r}"
    return f"it {'is async and ' if shape.is_async else ''}takes {shape.text}"


def _suggestion(app: Any, shape: _Shape | None) -> str | None:
    """The likely mistake, if choosing an interface would not help."""
    if inspect.isclass(app):
        return _app_inside(app, ("as_asgi",)) or (
            f"It is a class: did you mean an instance of it, {_name(app)}(...)?"
        )
    if shape is not None and "self" in shape.names:
        return "It is a method without its object: did you mean the method of an instance?"
    if shape is not None and shape.required == 0 and not shape.is_variadic:
        awaiting = "await " if shape.is_async else ""
        return f"It looks like a factory: did you mean to call it, {awaiting}{_name(app)}()?"
    return _app_inside(app)


def _app_inside(app: object, attributes: Iterable[str] = APP_ATTRIBUTES) -> str | None:
    inside = app_inside(app, attributes)
    return inside and f"Did you mean {inside.format(_name(app))}?"


def app_inside(app: object, attributes: Iterable[str] = APP_ATTRIBUTES) -> str | None:
    """Where the app is in an object that is not one.

    :param attributes: to look at.
    :returns: Python code such as ``{}.server``, with braces for the object's name; None if none of
        the attributes can be called.
    """
    for attribute in attributes:
        if callable(getattr(app, attribute, None)):
            return APP_ATTRIBUTES[attribute]
    return None


def _not_callable(app: object) -> str:
    problem = f"an app is a callable, but {_describe(app)} is not one."
    if isinstance(app, ModuleType):
        problem = f"an app is a callable, but {app.__name__!r} is a module."
    elif isinstance(app, str):
        problem = f"an app is a callable, but {app!r} is a string: import the app, pass the object."
    elif inspect.iscoroutine(app):
        app.close()  # otherwise Python warns later, elsewhere, that it was never awaited
        problem = (
            "an app is a callable, but this is a coroutine: await the factory that returned it."
        )
    return " ".join(filter(None, [problem, _TAKES, _app_inside(app)]))


def _asgi_2(app: object) -> str:
    name = _name(app)
    return (
        f"{_describe(app)} is a two-step ASGI 2 app, called as {name}(scope) and then "
        f"(receive, send). bridge supports ASGI 3: wrap it first with "
        f"asgiref.compatibility.guarantee_single_callable({name})."
    )
