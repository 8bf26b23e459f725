"""What a response streams.

Input: a module. Output: the :class:`Content` of an expression, and a :class:`Stream` for each call
of ``StreamingHttpResponse`` whose iterator is known to be sync.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst

from bridge.migrate.classes import method_of
from bridge.migrate.functions import assigned_values, function_of
from bridge.migrate.literals import evaluate
from bridge.migrate.module import Module
from bridge.migrate.project import Project

__all__ = [
    "STREAMING_RESPONSES",
    "STREAM_WITH_CONTEXT",
    "Content",
    "Stream",
    "content_argument",
    "content_of",
    "sync_streams",
]

STREAMING_RESPONSES = (
    "django.http.StreamingHttpResponse",
    "django.http.response.StreamingHttpResponse",
)
STREAM_WITH_CONTEXT = ("flask.stream_with_context", "flask.helpers.stream_with_context")
_SYNC_CALLS = {
    **dict.fromkeys(("map", "filter", "zip", "enumerate"), "an iterator of {}()"),
    **dict.fromkeys(("open", "io.BytesIO", "BytesIO"), "a file"),
    **dict.fromkeys(("wsgiref.util.FileWrapper", "itertools.chain"), "an iterator of {}()"),
}
_SYNC_METHODS = ("iter_content", "iter_lines", "iter_bytes", "iter_chunks", "iterator")
_TEXT_CALLS = ("join", "dumps", "encode", "format", "str", "render_template", "render_to_string")
_TRANSPARENT = (*STREAM_WITH_CONTEXT, "iter")
_CONTENT_ARGUMENTS = ("response", "streaming_content", "content", "app_iter", "body")
_ENDLESS_ITERATORS = ("itertools.count", "itertools.cycle")


@dataclass(frozen=True)
class Content:
    """What a response is made of.

    :ivar description: as text.
    :ivar is_async: whether it is an async iterator, which an event loop iterates.
    :ivar is_endless: whether it has no end.
    :ivar is_whole: whether it is no iterator that waits, but text, bytes or a list of them.
    """

    description: str
    is_async: bool = False
    is_endless: bool = False
    is_whole: bool = False


@dataclass(frozen=True)
class Stream:
    """A response of Django that streams a sync iterator.

    :ivar call: of ``StreamingHttpResponse``.
    """

    call: cst.Call
    content: Content


def sync_streams(module: Module, project: Project) -> Iterator[Stream]:
    """The responses of a module that stream a sync iterator."""
    for call in module.nodes(cst.Call):
        if module.qualified(call) not in STREAMING_RESPONSES:
            continue
        argument = content_argument(call)
        content = content_of(module, project, argument) if argument is not None else None
        if content is not None and not content.is_async and not content.is_whole:
            yield Stream(call, content)


def content_argument(call: cst.Call) -> cst.BaseExpression | None:
    """The argument of a response's constructor for its content: the first one, or by its name."""
    for position, each in enumerate(call.args):
        named = each.keyword.value if each.keyword else None
        is_first = position == 0 and named is None and not each.star
        if is_first or named in _CONTENT_ARGUMENTS:
            return each.value
    return None


def content_of(
    module: Module, project: Project, node: cst.BaseExpression, depth: int = 3
) -> Content | None:
    """What an expression makes a response of; None if that is not known."""
    match node:
        case cst.SimpleString() | cst.ConcatenatedString() | cst.FormattedString():
            return Content("text", is_whole=True)
        case cst.List() | cst.Tuple() | cst.Dict():
            return Content("a list", is_whole=True)
        case cst.GeneratorExp():
            loops = module.inside(node, cst.CompFor)
            is_async = any(each.asynchronous is not None for each in loops)
            kind = "an async" if is_async else "a sync"
            return Content(f"{kind} generator expression", is_async=is_async)
        case cst.Name() if depth:
            function = function_of(module, node)
            values = assigned_values(module, function, node.value) if function else None
            found = [content_of(module, project, each, depth - 1) for each in values or ()]
            return found[0] if len(found) == 1 else None
        case cst.Call():
            return _content_of_call(module, project, node, depth)
        case _:
            return None


def _content_of_call(
    module: Module, project: Project, call: cst.Call, depth: int
) -> Content | None:
    found = _function(module, project, call.func)
    if found is not None:
        where, function = found
        if not _yields(where, function):
            return None
        is_async = function.asynchronous is not None
        return Content(
            f"the {'async' if is_async else 'sync'} generator {function.name.value}()",
            is_async=is_async,
            is_endless=_is_endless(where, function),
        )
    name = module.qualified(call) or ""
    if name in _TRANSPARENT and depth and call.args:
        return content_of(module, project, call.args[0].value, depth - 1)
    if name in _SYNC_CALLS:
        return Content(_SYNC_CALLS[name].format(name.rpartition(".")[2]))
    if isinstance(call.func, cst.Attribute) and call.func.attr.value in _SYNC_METHODS:
        return Content(f"an iterator of .{call.func.attr.value}()")
    last = call.func.attr.value if isinstance(call.func, cst.Attribute) else name
    return Content("text", is_whole=True) if last.rpartition(".")[2] in _TEXT_CALLS else None


def _function(
    module: Module, project: Project, func: cst.BaseExpression
) -> tuple[Module, cst.FunctionDef] | None:
    """The called function: local, of the module, of the class, or imported."""
    match func:
        case cst.Name(value=name):
            around = [*module.ancestors(func), module.tree]
            for each in module.nodes(cst.FunctionDef):
                scope = module.enclosing(each, cst.FunctionDef, cst.ClassDef) or module.tree
                if each.name.value == name and any(scope is outer for outer in around):
                    return (module, each) if not isinstance(scope, cst.ClassDef) else None
        case cst.Attribute(value=cst.Name(value="self"), attr=cst.Name(value=name)):
            cls = module.enclosing(func, cst.ClassDef)
            method = method_of(cls, name) if isinstance(cls, cst.ClassDef) else None
            return (module, method) if method is not None else None
    dotted = module.qualified(func)
    found = project.find(dotted) if dotted else None
    if found is not None and isinstance(found[1], cst.FunctionDef):
        return found[0], found[1]
    return None


def _yields(module: Module, function: cst.FunctionDef) -> bool:
    return any(function_of(module, each) is function for each in module.inside(function, cst.Yield))


def _is_endless(module: Module, function: cst.FunctionDef) -> bool:
    """Whether it has an infinite loop with a ``yield``, without ``break`` or ``return``."""
    loops: list[cst.While | cst.For] = [
        *module.inside(function, cst.While),
        *module.inside(function, cst.For),
    ]
    return any(
        _is_infinite(module, loop) and not _has_exit(module, loop, function)
        for loop in loops
        if module.inside(loop, cst.Yield) and function_of(module, loop) is function
    )


def _is_infinite(module: Module, loop: cst.While | cst.For) -> bool:
    if isinstance(loop, cst.While):
        return evaluate(loop.test) in (True, 1)
    if not isinstance(loop.iter, cst.Call):
        return False
    if module.qualified(loop.iter) in _ENDLESS_ITERATORS:
        return True
    func = loop.iter.func
    return isinstance(func, cst.Attribute) and func.attr.value == "listen"  # redis pubsub


def _has_exit(module: Module, loop: cst.While | cst.For, function: cst.FunctionDef) -> bool:
    return any(
        module.enclosing(each, cst.While, cst.For) is loop
        for each in module.inside(loop, cst.Break)
    ) or any(function_of(module, each) is function for each in module.inside(loop, cst.Return))
