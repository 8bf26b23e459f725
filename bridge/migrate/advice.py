"""Recommends where a project should move: to Django's own ASGI handler, to `bridge`, or nowhere.

Input: a project. Output: a target, and the reason as text. A project without async code gains
nothing from ASGI and should stay on WSGI.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import libcst as cst

from bridge.migrate.findings import Target
from bridge.migrate.functions import is_test
from bridge.migrate.module import Module
from bridge.migrate.project import Project

__all__ = ["Advice", "advise", "async_places", "has_async_code", "serves_requests"]


_ROUTES = frozenset({"route", "get", "post", "put", "patch", "delete", "websocket"})
_SOCKETS = frozenset({"flask_sock", "flask_socketio"})


@dataclass(frozen=True)
class Advice:
    """A recommendation.

    :ivar move: ``stay``, or the target.
    :ivar target: the target to check for; `bridge` if the advice is to stay.
    :ivar reason: in one sentence without a full stop.
    :ivar places: the async code of the project, as ``shop/views.py:12 dashboard``.
    """

    move: Literal["stay", "bridge", "native"]
    target: Target
    reason: str
    places: tuple[str, ...]


def advise(project: Project) -> Advice:
    """The recommendation for a project."""
    places = tuple(async_places(project))
    if not places:
        return Advice(
            "stay",
            Target.BRIDGE,
            "it has no async code that an ASGI server could make faster",
            (),
        )
    if project.facts is not None and _is_all_async(project):
        return Advice(
            "native",
            Target.NATIVE,
            "every view and every middleware is async, so no request needs a thread",
            places,
        )
    return Advice(
        "bridge",
        Target.BRIDGE,
        "it has async code beside sync views and middleware, which bridge runs on worker threads",
        places,
    )


def _is_all_async(project: Project) -> bool:
    facts = project.facts
    if facts is None or not facts.views:
        return False
    return all(view.is_async for view in facts.views) and not any(
        set(each.hooks) - set(each.native_hooks) or each.is_sync_only
        for each in facts.middleware
        if each.is_used
    )


@functools.lru_cache(maxsize=4)
def has_async_code(project: Project) -> bool:
    """Whether an event loop of the server would run any code of the project."""
    return next(async_places(project), None) is not None


def async_places(project: Project) -> Iterator[str]:
    """The async code of the project: views, consumers, an ASGI app of Channels."""
    if project.facts is not None:
        for view in project.facts.views:
            if view.is_async and project.module_at(view.file) is not None:
                yield f"view {view.name}"
    for module in project.containing("async def", "Consumer", *_SOCKETS):
        yield from _in_module(project, module)
    application = project.settings.value("ASGI_APPLICATION")
    installed = set(project.settings.strings("INSTALLED_APPS"))
    if application and installed & {"channels", "daphne"}:
        yield f"ASGI_APPLICATION {application}"


def _in_module(project: Project, module: Module) -> Iterator[str]:
    if is_test(module):
        return
    for node in module.nodes(cst.FunctionDef):
        if node.asynchronous is not None and _is_view(module, node):
            yield _place(project, module, node)
    for name in sorted(_SOCKETS & {each.partition(".")[0] for each in module.imports.values()}):
        yield f"{project.shown(module.path)} WebSockets of {name}"
    for cls in module.classes():
        if _is_consumer(module, cls):
            yield _place(project, module, cls)


def serves_requests(module: Module, function: cst.FunctionDef) -> bool:
    """Whether a server calls a function: a view, a middleware, an ASGI app, part of a consumer."""
    names = [each.name.value for each in function.params.params]
    cls = module.enclosing(function, cst.ClassDef)
    return (
        _is_view(module, function)
        or {"receive", "send"} <= set(names)
        or (isinstance(cls, cst.ClassDef) and _is_consumer(module, cls))
    )


def _is_view(module: Module, node: cst.FunctionDef) -> bool:
    names = [each.name.value for each in node.params.params]
    return "request" in names[:2] or _is_route(module, node)


def _is_consumer(module: Module, cls: cst.ClassDef) -> bool:
    return any(name.endswith("Consumer") for name in module.base_names(cls))


def _is_route(module: Module, node: cst.FunctionDef) -> bool:
    """Whether a decorator such as ``@app.get("/")`` makes it a view of Flask or the like."""
    names = (module.qualified(each.decorator) or "" for each in node.decorators)
    return any("." in name and name.rpartition(".")[2] in _ROUTES for name in names)


def _place(project: Project, module: Module, node: cst.FunctionDef | cst.ClassDef) -> str:
    line, _ = module.position(node)
    return f"{project.shown(module.path)}:{line} {node.name.value}"
