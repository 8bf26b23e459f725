"""What the import statements of a module bind.

Input: LibCST nodes, and the package that relative imports start from. Output: dotted names. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import libcst as cst
from libcst.helpers import get_absolute_module_from_package_for_import, get_full_name_for_node

__all__ = ["imported_names", "is_docstring", "module_of"]


def imported_names(
    imports: Iterable[cst.Import], from_imports: Iterable[cst.ImportFrom], package: str
) -> dict[str, str]:
    """Each name that an import binds, and the dotted name it stands for."""
    names: dict[str, str] = {}
    for node in imports:
        names.update(_bound(alias) for alias in node.names)
    for from_node in from_imports:
        names.update(_bound_from(from_node, package))
    return names


def _bound(alias: cst.ImportAlias) -> tuple[str, str]:
    if alias.evaluated_alias:
        return alias.evaluated_alias, alias.evaluated_name
    first = alias.evaluated_name.partition(".")[0]  # "import a.b" binds "a"
    return first, first


def _bound_from(node: cst.ImportFrom, package: str) -> Iterator[tuple[str, str]]:
    if isinstance(node.names, cst.ImportStar):
        return
    origin = module_of(node, package)
    for alias in node.names:
        name = alias.evaluated_name
        yield alias.evaluated_alias or name, f"{origin}.{name}" if origin else name


def module_of(node: cst.ImportFrom, package: str) -> str | None:
    """The absolute name of the module that a ``from`` import names.

    :param package: of the importing module; empty at the top level.
    """
    absolute = get_absolute_module_from_package_for_import(package or None, node)
    if absolute is not None:
        return absolute
    return get_full_name_for_node(node.module) if node.module else None


def is_docstring(node: cst.CSTNode) -> bool:
    """Whether a statement is only a string."""
    return (
        isinstance(node, cst.SimpleStatementLine)
        and isinstance(node.body[0], cst.Expr)
        and isinstance(node.body[0].value, cst.SimpleString)
    )
