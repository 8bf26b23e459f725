"""Questions about classes, across the modules of a project.

What enters: class definitions. What leaves: their bases and methods. Classes from outside of the
project are known by name only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from bridge.migrate.literals import evaluate

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

__all__ = ["attribute", "derives_from", "find_class", "lineage", "method_of", "methods_of"]


def methods_of(node: cst.ClassDef) -> Iterator[cst.FunctionDef]:
    """The methods that a class itself defines."""
    if isinstance(node.body, cst.IndentedBlock):
        for statement in node.body.body:
            if isinstance(statement, cst.FunctionDef):
                yield statement


def method_of(node: cst.ClassDef, name: str) -> cst.FunctionDef | None:
    """One of them; the last, if it is defined twice."""
    found = [method for method in methods_of(node) if method.name.value == name]
    return found[-1] if found else None


def lineage(
    project: Project, module: Module, node: cst.ClassDef
) -> Iterator[tuple[Module, cst.ClassDef]]:
    """The class and, depth first, those of its ancestors that the project defines."""
    seen: set[int] = set()
    stack = [(module, node)]
    while stack:
        where, each = stack.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield where, each
        for base in where.base_names(each):
            found = find_class(project, where, base)
            if found is not None:
                stack.append(found)


def find_class(project: Project, module: Module, name: str) -> tuple[Module, cst.ClassDef] | None:
    """A class by the name that a module knows it by."""
    for dotted in (f"{module.name}.{name}", name):
        found = project.find(dotted)
        if found is not None and isinstance(found[1], cst.ClassDef):
            return found[0], found[1]
    return None


def attribute(
    project: Project, module: Module, node: cst.ClassDef, name: str, default: object
) -> object:
    """What a class, or the next of its ancestors that does, assigns to an attribute.

    :returns: its value, which may be unknown; ``default`` where none of them does.
    """
    for where, each in lineage(project, module, node):
        for assign in where.inside(each, cst.Assign):
            target = assign.targets[0].target
            if isinstance(target, cst.Name) and target.value == name:
                return evaluate(assign.value)
    return default


def derives_from(project: Project, module: Module, node: cst.ClassDef, *names: str) -> bool:
    """Whether a class has one of these among its ancestors.

    :param names: dotted, as ``django.utils.deprecation.MiddlewareMixin``.
    """
    return any(
        base in names
        for where, each in lineage(project, module, node)
        for base in where.base_names(each)
    )
