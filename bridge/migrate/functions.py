"""The function that runs a node, the values of its local names, and its calls.

Input: nodes of a module. Output: functions, the expressions assigned to local names, and calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from bridge.migrate.module import Module

if TYPE_CHECKING:
    from bridge.migrate.project import Project

__all__ = [
    "assigned_values",
    "calls_of",
    "coroutine_of",
    "function_of",
    "imports_any",
    "in_comprehension",
    "is_awaited",
    "is_request",
    "is_test",
    "nodes_in",
    "text_around",
]

_COMPREHENSIONS = (cst.GeneratorExp, cst.ListComp, cst.SetComp, cst.DictComp)


def function_of(module: Module, node: cst.CSTNode) -> cst.FunctionDef | cst.Lambda | None:
    """The function that runs a node. Decorators and defaults belong to the enclosing one."""
    child = node
    for above in module.ancestors(node):
        if isinstance(above, cst.FunctionDef | cst.Lambda) and child is above.body:
            return above
        child = above
    return None


def coroutine_of(module: Module, node: cst.CSTNode) -> cst.FunctionDef | None:
    """The ``async def`` whose body runs a node, on the event loop; None if there is none.

    Code in a lambda or a nested ``def`` may run anywhere, for example in a thread.
    """
    function = function_of(module, node)
    if isinstance(function, cst.FunctionDef) and function.asynchronous is not None:
        return function
    return None


def text_around(module: Module, node: cst.CSTNode) -> str:
    """The source of the innermost ``def`` around a node, else of its module."""
    function = module.enclosing(node, cst.FunctionDef)
    return module.text if function is None else module.source(function)


def nodes_in(
    module: Module, function: cst.CSTNode, *kinds: type[cst.CSTNode]
) -> Iterator[cst.CSTNode]:
    """The nodes of these types in a function's own body, in no particular order."""
    for kind in kinds:
        for node in module.nodes(kind):
            if function_of(module, node) is function:
                yield node


def is_awaited(module: Module, node: cst.CSTNode) -> bool:
    """Whether a node is the operand of ``await``."""
    return isinstance(module.parent(node), cst.Await)


def in_comprehension(module: Module, node: cst.CSTNode) -> bool:
    """Whether a node is in a comprehension, which an ``await`` would make asynchronous."""
    for above in module.ancestors(node):
        if isinstance(above, _COMPREHENSIONS):
            return True
        if isinstance(above, cst.FunctionDef | cst.Lambda):
            return False
    return False


def assigned_values(
    module: Module, function: cst.CSTNode, name: str
) -> list[cst.BaseExpression] | None:
    """The expressions that are assigned to a local name of a function.

    :returns: None if the name is also bound otherwise: as a parameter, in a loop, by unpacking.
    """
    values: list[cst.BaseExpression] = []
    for node in nodes_in(module, function, cst.Name):
        if not isinstance(node, cst.Name) or node.value != name:
            continue
        match module.parent(node):
            case cst.AssignTarget() as target:
                assign = module.parent(target)
                if not isinstance(assign, cst.Assign):
                    return None
                values.append(assign.value)
            case cst.AnnAssign(target=target, value=value) if target is node:
                if value is None:
                    return None
                values.append(value)
            case cst.For(target=target) | cst.CompFor(target=target) if target is node:
                return None
            case cst.AugAssign(target=target) | cst.NamedExpr(target=target) if target is node:
                return None
            case cst.Element() | cst.AsName():
                if _is_bound(module, node):
                    return None
            case _:
                pass
    return values or None


def _is_bound(module: Module, node: cst.Name) -> bool:
    """Whether a name is unpacked into, or follows ``as``."""
    above = module.parent(node)
    if isinstance(above, cst.AsName):
        return True
    child: cst.CSTNode = node
    for above in module.ancestors(node):
        if isinstance(above, cst.AssignTarget):
            return True
        if isinstance(above, cst.For | cst.CompFor):
            return above.target is child
        if not isinstance(above, cst.Element | cst.Tuple | cst.List):
            return False
        child = above
    return False


def is_request(module: Module, node: cst.BaseExpression) -> bool:
    """Whether an expression is a Django request: a ``request`` parameter, or ``self.request``."""
    match node:
        case cst.Name(value="request"):
            return any(
                isinstance(above, cst.FunctionDef) and "request" in _parameters(above)
                for above in module.ancestors(node)
            )
        case cst.Attribute(value=cst.Name(value="self"), attr=cst.Name(value="request")):
            return module.enclosing(node, cst.ClassDef) is not None
        case _:
            return False


def _parameters(function: cst.FunctionDef) -> list[str]:
    each = function.params
    return [param.name.value for param in (*each.posonly_params, *each.params, *each.kwonly_params)]


def calls_of(module: Module, project: Project, name: str) -> Iterator[tuple[Module, cst.Call]]:
    """The calls of a function or class of a module in the whole project, apart from its tests.

    Those in the module itself count whatever the scope of the name is.
    """
    for caller in project.containing(name):
        for call in caller.nodes(cst.Call) if not is_test(caller) else ():
            written = caller.qualified(call) or ""
            if written.rpartition(".")[2] != name:
                continue
            found = project.find(written)
            if (caller is module and written == name) or (found is not None and found[0] is module):
                yield caller, call


def imports_any(module: Module, *packages: str) -> bool:
    """Whether a module imports one of these packages, or something from them."""
    return any(origin.partition(".")[0] in packages for origin in module.imports.values())


def is_test(module: Module) -> bool:
    """Whether a module contains tests, which no server runs."""
    parts = module.name.split(".")
    if {"tests", "test", "testing", "testsuite"} & set(parts) or parts[-1] == "conftest":
        return True
    return parts[-1].startswith("test_") or parts[-1].endswith(("_test", "_tests"))
