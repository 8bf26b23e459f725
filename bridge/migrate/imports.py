"""The imports of a module: what names they bind, and where another one goes.

What enters: a :class:`~bridge.migrate.module.Module`. What leaves: names and line numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst
from libcst.helpers import get_absolute_module_from_package_for_import, get_full_name_for_node

if TYPE_CHECKING:
    from bridge.migrate.module import Module

__all__ = ["imported_names", "insertion_point", "is_docstring", "missing_import", "module_of"]


def imported_names(module: Module) -> dict[str, str]:
    """Each name that an import binds, and the dotted name it stands for."""
    names: dict[str, str] = {}
    for node in module.nodes(cst.Import):
        names.update(_bound(alias) for alias in node.names)
    for from_node in module.nodes(cst.ImportFrom):
        names.update(_bound_from(module, from_node))
    return names


def _bound(alias: cst.ImportAlias) -> tuple[str, str]:
    if alias.evaluated_alias:
        return alias.evaluated_alias, alias.evaluated_name
    first = alias.evaluated_name.partition(".")[0]  # "import a.b" binds "a"
    return first, first


def _bound_from(module: Module, node: cst.ImportFrom) -> Iterator[tuple[str, str]]:
    if isinstance(node.names, cst.ImportStar):
        return
    origin = module_of(module, node)
    for alias in node.names:
        name = alias.evaluated_name
        yield alias.evaluated_alias or name, f"{origin}.{name}" if origin else name


def module_of(module: Module, node: cst.ImportFrom) -> str | None:
    """The absolute name of the module that a ``from`` import names."""
    package = module.name if module.is_package else module.name.rpartition(".")[0]
    absolute = get_absolute_module_from_package_for_import(package or None, node)
    if absolute is not None:
        return absolute
    return get_full_name_for_node(node.module) if node.module else None


def missing_import(module: Module, statement: str) -> bool:
    """Whether a module has yet to import this at its top level."""
    lines = _import_lines(module.tree.body)
    return statement not in {module.source(small) for line in lines for small in line.body}


def _import_lines(body: object) -> list[cst.SimpleStatementLine]:
    return [
        each
        for each in (body if isinstance(body, tuple | list) else ())
        if isinstance(each, cst.SimpleStatementLine)
        and isinstance(each.body[0], cst.Import | cst.ImportFrom)
    ]


def insertion_point(module: Module) -> tuple[int, bool]:
    """The line to put another import in front of, and whether an empty line has to follow it.

    Behind the last import of the first run of imports, else behind docstring and comments.
    """
    imports = _import_lines(module.tree.body)
    if imports:
        last = _last_of_first_run(module, imports)
        return module.line_of(module.span(last)[1]) + 1, False
    body = module.tree.body
    if body and is_docstring(body[0]):
        return module.line_of(module.span(body[0])[1]) + 1, True
    return (module.position(body[0])[0] if body else 1), True


def _last_of_first_run(
    module: Module, imports: list[cst.SimpleStatementLine]
) -> cst.SimpleStatementLine:
    body = list(module.tree.body)
    position = body.index(imports[0])
    while position + 1 < len(body) and body[position + 1] in imports:
        position += 1
    last = body[position]
    return last if isinstance(last, cst.SimpleStatementLine) else imports[0]


def is_docstring(node: cst.CSTNode) -> bool:
    """Whether a statement is nothing but a string."""
    return (
        isinstance(node, cst.SimpleStatementLine)
        and isinstance(node.body[0], cst.Expr)
        and isinstance(node.body[0].value, cst.SimpleString)
    )
