"""The modules that servers import: ``wsgi.py``, ``asgi.py``.

What enters: a project or a module. What leaves: where an application is made, and what it is
wrapped in.
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
    "entry_modules",
    "statement_of",
    "wrapping_of",
    "wsgi_modules",
]

_FACTORIES = (
    "django.core.wsgi.get_wsgi_application",
    "django.core.asgi.get_asgi_application",
    "bridge.contrib.django.get_asgi_application",
)
_DJANGOS_OWN = (
    "django.core.asgi.get_asgi_application",
    "configurations.asgi.get_asgi_application",
    "django.core.handlers.asgi.ASGIHandler",
)


def djangos_own_asgi(project: Project) -> Iterator[tuple[Module, cst.Call]]:
    """Where the project makes an application of Django's own ASGI handler; tests left out.

    As long as there is one, a project that is to move through `bridge` has not got there.
    """
    for module in project.containing("get_asgi_application", "ASGIHandler"):
        if not is_test(module):
            calls = module.nodes(cst.Call)
            yield from ((module, each) for each in calls if module.qualified(each) in _DJANGOS_OWN)


def entry_modules(project: Project) -> list[Module]:
    """The modules that make an application of Django's."""
    words = ("get_wsgi_application", "get_asgi_application")
    return [module for module in project.containing(*words) if application_calls(module)]


def wsgi_modules(project: Project) -> list[Module]:
    """Those that make a WSGI application; the one that ``WSGI_APPLICATION`` names goes first."""
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
    """The top-level statement that a node is in."""
    found = node
    for above in module.ancestors(node):
        if above is module.tree:
            return found
        found = above
    return found


def wrapping_of(module: Module) -> list[cst.CSTNode]:
    """Where the application that a factory made is wrapped: ``application = Wrap(application)``.

    ``application = get_wsgi_application()`` alone is not; ``Wrap(get_wsgi_application())`` is.
    """
    found: list[cst.CSTNode] = [
        call for call in application_calls(module) if isinstance(module.parent(call), cst.Arg)
    ]
    names = _application_names(module)
    for node in module.nodes(cst.Assign):
        is_top = module.enclosing(node, cst.FunctionDef) is None
        if is_top and isinstance(node.value, cst.Call) and _takes(node.value, names):
            found.append(node)
    return found


def _application_names(module: Module) -> set[str]:
    """The names that an application is assigned to."""
    names = {"application", "app"}
    calls = {id(call) for call in application_calls(module)}
    for node in module.nodes(cst.Assign):
        if id(node.value) in calls:
            names |= {
                each.target.value for each in node.targets if isinstance(each.target, cst.Name)
            }
    return names


def _takes(call: cst.Call, names: set[str]) -> bool:
    return any(isinstance(arg.value, cst.Name) and arg.value.value in names for arg in call.args)
