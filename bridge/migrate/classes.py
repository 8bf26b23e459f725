"""Classes, their bases and methods, across the modules of a project.

Classes outside the project are known by name only.
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
    """The methods defined in the body of a class."""
    if isinstance(node.body, cst.IndentedBlock):
        for statement in node.body.body:
            if isinstance(statement, cst.FunctionDef):
                yield statement


def method_of(node: cst.ClassDef, name: str) -> cst.FunctionDef | None:
    """One of these methods; the last, if it is defined twice."""
    found = [method for method in methods_of(node) if method.name.value == name]
    return found[-1] if found else None


def lineage(
    project: Project, module: Module, node: cst.ClassDef
) -> Iterator[tuple[Module, cst.ClassDef]]:
    """The class and those of its ancestors that the project defines, nearest first."""
    seen: set[int] = set()
    stack = [(module, node)]
    while stack:
        owner, each = stack.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield owner, each
        for base in owner.base_names(each):
            found = find_class(project, owner, base)
            if found is not None:
                stack.append(found)


def find_class(project: Project, module: Module, name: str) -> tuple[Module, cst.ClassDef] | None:
    """A class by its name in a module."""
    for dotted in (f"{module.name}.{name}", name):
        found = project.find(dotted)
        if found is not None and isinstance(found[1], cst.ClassDef):
            return found[0], found[1]
    return None


def attribute(
    project: Project, module: Module, node: cst.ClassDef, name: str, default: object
) -> object:
    """The value of a class attribute, its own or that of the nearest ancestor.

    :returns: the value, which may be unknown; ``default`` if no class of the project sets it.
    """
    for owner, each in lineage(project, module, node):
        for assign in owner.inside(each, cst.Assign):
            target = assign.targets[0].target
            if isinstance(target, cst.Name) and target.value == name:
                return evaluate(assign.value)
    return default


def derives_from(project: Project, module: Module, node: cst.ClassDef, *names: str) -> bool:
    """Whether one of the ancestors of a class has one of these names.

    :param names: dotted, as ``django.utils.deprecation.MiddlewareMixin``.
    """
    return any(
        base in names
        for owner, each in lineage(project, module, node)
        for base in owner.base_names(each)
    )
