"""What a project should move to, if anything: its own ASGI handler, `bridge`, or nothing.

What enters: a project. What leaves: a target and the reason in words. A project with nothing async
in it gains nothing from ASGI, and is told to stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import libcst as cst

from bridge.migrate.findings import Target
from bridge.migrate.module import Module
from bridge.migrate.project import Project

__all__ = ["Advice", "advise", "async_places"]


_ROUTES = frozenset({"route", "get", "post", "put", "patch", "delete", "websocket"})
_SOCKETS = frozenset({"flask_sock", "flask_socketio"})


@dataclass(frozen=True)
class Advice:
    """What to do.

    :ivar move: ``stay``, or where to.
    :ivar target: what the severities are for: where to, or `bridge` for those who go anyway.
    :ivar reason: why, in one sentence without a full stop.
    :ivar places: what is async in the project, as ``shop/views.py:12 dashboard``.
    """

    move: Literal["stay", "bridge", "native"]
    target: Target
    reason: str
    places: tuple[str, ...]


def advise(project: Project) -> Advice:
    """What this project should move to."""
    places = tuple(async_places(project))
    if not places:
        return Advice(
            "stay",
            Target.BRIDGE,
            "nothing in it is async, so an ASGI server has nothing to make faster",
            (),
        )
    if project.facts is not None and _is_all_async(project):
        return Advice(
            "native",
            Target.NATIVE,
            "every view and every middleware is async: no request needs a thread",
            places,
        )
    return Advice(
        "bridge",
        Target.BRIDGE,
        "it has async code, and sync views and middleware next to it, which bridge keeps on "
        "worker threads",
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


def async_places(project: Project) -> Iterator[str]:
    """What is async in the project's own code: views, consumers, an ASGI app of Channels."""
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
    if _is_test(module):
        return
    for node in module.nodes(cst.FunctionDef):
        names = [each.name.value for each in node.params.params]
        if node.asynchronous is not None and ("request" in names[:2] or _is_route(module, node)):
            yield _place(project, module, node)
    for name in sorted(_SOCKETS & {each.partition(".")[0] for each in module.imports.values()}):
        yield f"{project.relative(module.path)} WebSockets of {name}"
    for cls in module.classes():
        if any(name.endswith("Consumer") for name in module.base_names(cls)):
            yield _place(project, module, cls)


def _is_route(module: Module, node: cst.FunctionDef) -> bool:
    """Whether a decorator such as ``@app.get("/")`` makes it a view of Flask and its kin."""
    names = (module.qualified(each.decorator) or "" for each in node.decorators)
    return any("." in name and name.rpartition(".")[2] in _ROUTES for name in names)


def _is_test(module: Module) -> bool:
    parts = module.name.split(".")
    return parts[-1].startswith("test") or "tests" in parts


def _place(project: Project, module: Module, node: cst.FunctionDef | cst.ClassDef) -> str:
    line, _ = module.position(node)
    return f"{project.relative(module.path)}:{line} {node.name.value}"
