"""Responses that stream a sync iterator.

Input: a module. Output: a :class:`Stream` for each call of ``StreamingHttpResponse`` whose iterator
is known to be sync.
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

__all__ = ["Stream", "sync_streams"]

_RESPONSES = (
    "django.http.StreamingHttpResponse",
    "django.http.response.StreamingHttpResponse",
)
_SYNC_CALLS = {
    **dict.fromkeys(("map", "filter", "zip", "enumerate"), "an iterator of {}()"),
    **dict.fromkeys(("open", "io.BytesIO", "BytesIO"), "a file"),
    **dict.fromkeys(("wsgiref.util.FileWrapper", "itertools.chain"), "an iterator of {}()"),
}
_SYNC_METHODS = ("iter_content", "iter_lines", "iter_bytes", "iter_chunks", "iterator")
_ENDLESS_ITERATORS = ("itertools.count", "itertools.cycle")


@dataclass(frozen=True)
class Stream:
    """A response that streams a sync iterator.

    :ivar call: of ``StreamingHttpResponse``.
    :ivar description: of the iterator, as text.
    :ivar is_endless: whether it has no end.
    :ivar is_events: whether it is sent as server-sent events, which usually have no end.
    """

    call: cst.Call
    description: str
    is_endless: bool
    is_events: bool


def sync_streams(module: Module, project: Project) -> Iterator[Stream]:
    """The responses of a module that stream a sync iterator."""
    for call in module.nodes(cst.Call):
        if module.qualified(call) in _RESPONSES:
            content = _content(call)
            found = content and _described(module, project, content)
            if found:
                yield Stream(call, *found, _is_events(call))


def _is_events(call: cst.Call) -> bool:
    types = [each.value for each in call.args if each.keyword and "type" in each.keyword.value]
    return any(str(evaluate(each)).startswith("text/event-stream") for each in types)


def _content(call: cst.Call) -> cst.BaseExpression | None:
    for position, each in enumerate(call.args):
        named = each.keyword.value if each.keyword else None
        if named == "streaming_content" or (position == 0 and not named and not each.star):
            return each.value
    return None


def _described(
    module: Module, project: Project, node: cst.BaseExpression, depth: int = 3
) -> tuple[str, bool] | None:
    match node:
        case cst.GeneratorExp():
            is_async = any(
                each.asynchronous is not None for each in module.inside(node, cst.CompFor)
            )
            return None if is_async else ("a sync generator expression", False)
        case cst.Name() if depth:
            function = function_of(module, node)
            values = assigned_values(module, function, node.value) if function else None
            found = [_described(module, project, each, depth - 1) for each in values or ()]
            return found[0] if len(found) == 1 else None
        case cst.Call():
            return _described_call(module, project, node)
        case _:
            return None


def _described_call(module: Module, project: Project, call: cst.Call) -> tuple[str, bool] | None:
    found = _function(module, project, call.func)
    if found is not None:
        where, function = found
        if function.asynchronous is not None or not _yields(where, function):
            return None
        return f"the sync generator {function.name.value}()", _is_endless(where, function)
    name = module.qualified(call) or ""
    if name in _SYNC_CALLS:
        return _SYNC_CALLS[name].format(name.rpartition(".")[2]), False
    if isinstance(call.func, cst.Attribute) and call.func.attr.value in _SYNC_METHODS:
        return f"an iterator of .{call.func.attr.value}()", False
    return None


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
