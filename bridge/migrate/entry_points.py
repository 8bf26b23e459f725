"""The modules that servers import: ``wsgi.py``, ``asgi.py``.

Input: a project or a module. Output: where an application is created, and what wraps it.
"""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from bridge.migrate.functions import is_test
from bridge.migrate.module import Module
from bridge.migrate.project import Project

__all__ = [
    "application_calls",
    "djangos_own_asgi",
    "plain_factory_call",
    "served_name",
    "statement_of",
    "wrapping_of",
    "wsgi_modules",
]

_FACTORIES = (
    "django.core.wsgi.get_wsgi_application",
    "django.core.asgi.get_asgi_application",
    "bridge.contrib.django.get_asgi_application",
    "configurations.wsgi.get_wsgi_application",
    "configurations.asgi.get_asgi_application",
)
_SERVED = ("application", "app")
_DJANGO_ASGI = (
    "django.core.asgi.get_asgi_application",
    "configurations.asgi.get_asgi_application",
    "django.core.handlers.asgi.ASGIHandler",
)


def djangos_own_asgi(project: Project) -> Iterator[tuple[Module, cst.Call]]:
    """The calls that create an application of Django's own ASGI handler, except in tests.

    While there is one, the project has not moved to `bridge` yet.
    """
    for module in project.containing("get_asgi_application", "ASGIHandler"):
        if not is_test(module):
            calls = module.nodes(cst.Call)
            yield from ((module, each) for each in calls if module.qualified(each) in _DJANGO_ASGI)


def wsgi_modules(project: Project) -> list[Module]:
    """The modules that create a WSGI application; the one in ``WSGI_APPLICATION`` first."""
    named = str(project.settings.value("WSGI_APPLICATION", "")).rpartition(".")[0]
    found = [
        module
        for module in project.containing("get_wsgi_application")
        if application_calls(module) and module.name
    ]
    return sorted(found, key=lambda module: (module.name != named, len(module.path.parts)))


def application_calls(module: Module) -> list[cst.Call]:
    """The calls of Django's factories at a module's top level, in order."""
    return [
        call
        for call in module.nodes(cst.Call)
        if module.qualified(call) in _FACTORIES
        and not module.enclosing(call, cst.FunctionDef, cst.Lambda)
    ]


def statement_of(module: Module, node: cst.CSTNode) -> cst.CSTNode:
    """The top-level statement that contains a node."""
    found = node
    for above in module.ancestors(node):
        if above is module.tree:
            return found
        found = above
    return found


def wrapping_of(module: Module) -> list[cst.CSTNode]:
    """The nodes that wrap the application of a factory: ``application = Wrap(application)``.

    ``application = get_wsgi_application()`` alone does not; ``Wrap(get_wsgi_application())`` does,
    and so does ``def application(environ, start_response)`` in a module with such a call.
    """
    calls = application_calls(module)
    found: list[cst.CSTNode] = [call for call in calls if isinstance(module.parent(call), cst.Arg)]
    names = {*_SERVED, *(name for call in calls for name in _names_of(module, call))}
    assigns: list[cst.Assign | cst.AnnAssign] = [
        *module.nodes(cst.Assign),
        *module.nodes(cst.AnnAssign),
    ]
    found += (
        node
        for node in assigns
        if _is_top(module, node) and isinstance(node.value, cst.Call) and _takes(node.value, names)
    )
    if calls:
        found += (each for name, each in _defined(module) if name in _SERVED)
    return found


def plain_factory_call(module: Module) -> cst.Call | None:
    """The factory call whose result is served unchanged: ``application = get_wsgi_application()``.

    :returns: None if it is wrapped, or the name is used in any other way.
    """
    calls = application_calls(module)
    name = served_name(module)
    if len(calls) != 1 or name not in _names_of(module, calls[0]):
        return None
    uses = [each for each in module.nodes(cst.Name) if each.value == name]
    others = [each for each in uses if not _is_alias(module, each)]
    return calls[0] if len(others) == 1 else None


def _is_alias(module: Module, use: cst.Name) -> bool:
    """``app = application``"""
    above = module.parent(use)
    return isinstance(above, cst.Assign) and above.value is use


def served_name(module: Module) -> str | None:
    """The name of the application in a module: ``application`` or ``app``; None without either."""
    names = set(module.imports)
    for assign in module.nodes(cst.Assign):
        targets = (each.target for each in assign.targets)
        names |= {each.value for each in targets if isinstance(each, cst.Name)}
    for annotated in module.nodes(cst.AnnAssign):
        if isinstance(annotated.target, cst.Name) and annotated.value is not None:
            names.add(annotated.target.value)
    names |= {name for name, _ in _defined(module)}
    return next((name for name in _SERVED if name in names), None)


def _defined(module: Module) -> Iterator[tuple[str, cst.CSTNode]]:
    """The functions and classes at a module's top level."""
    found: list[cst.FunctionDef | cst.ClassDef] = [
        *module.nodes(cst.FunctionDef),
        *module.nodes(cst.ClassDef),
    ]
    return ((each.name.value, each) for each in found if _is_top(module, each))


def _is_top(module: Module, node: cst.CSTNode) -> bool:
    return module.enclosing(node, cst.FunctionDef, cst.ClassDef, cst.Lambda) is None


def _names_of(module: Module, call: cst.Call) -> set[str]:
    """The names that a call's result is assigned to."""
    match module.parent(call):
        case cst.Assign(targets=targets):
            return {each.target.value for each in targets if isinstance(each.target, cst.Name)}
        case cst.AnnAssign(target=cst.Name(value=name)):
            return {name}
        case _:
            return set()


def _takes(call: cst.Call, names: set[str]) -> bool:
    return any(isinstance(arg.value, cst.Name) and arg.value.value in names for arg in call.args)
