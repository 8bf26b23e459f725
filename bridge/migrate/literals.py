"""Evaluates expressions without running them.

Input: a LibCST expression and the values of names. Output: its value, or :data:`UNKNOWN` if it
depends on the environment. A list may contain unknown items. Pure.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

import libcst as cst

__all__ = ["UNKNOWN", "Unknown", "evaluate"]


class Unknown:
    """The type of :data:`UNKNOWN`, its only instance."""

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()

_CONSTANTS = {"True": True, "False": False, "None": None}
_OPERATORS: list[tuple[type[cst.BaseBinaryOp], Callable[[Any, Any], Any]]] = [
    (cst.Add, operator.add),
    (cst.Subtract, operator.sub),
    (cst.Multiply, operator.mul),
    (cst.BitOr, operator.or_),
]


def evaluate(node: cst.BaseExpression, names: Mapping[str, Any] | None = None) -> Any:
    """The value of an expression, or :data:`UNKNOWN`.

    Supports literals, lists, tuples, sets and dictionaries of them, ``+ - * |``, and ``names``.
    """
    values = names or {}
    match node:
        case cst.SimpleString() | cst.ConcatenatedString() | cst.Integer() | cst.Float():
            value = node.evaluated_value
            return UNKNOWN if value is None else value
        case cst.Name():
            return _CONSTANTS.get(node.value, values.get(node.value, UNKNOWN))
        case cst.List() | cst.Tuple() | cst.Set():
            return _collection(node, values)
        case cst.Dict():
            return _dictionary(node, values)
        case cst.BinaryOperation():
            return _binary(node, values)
        case cst.UnaryOperation(operator=cst.Minus()):
            value = evaluate(node.expression, values)
            return -value if isinstance(value, int | float) else UNKNOWN
        case cst.UnaryOperation(operator=cst.Not()):
            value = evaluate(node.expression, values)
            return UNKNOWN if value is UNKNOWN else not value
        case _:
            return UNKNOWN


def _collection(node: cst.List | cst.Tuple | cst.Set, names: Mapping[str, Any]) -> list[Any]:
    """Always a list: Django accepts either, and rules compare contents."""
    values: list[Any] = []
    for element in node.elements:
        value = evaluate(element.value, names)
        if isinstance(element, cst.StarredElement) and isinstance(value, list):
            values.extend(value)
        else:
            values.append(value)
    return values


def _dictionary(node: cst.Dict, names: Mapping[str, Any]) -> dict[Any, Any]:
    values: dict[Any, Any] = {}
    for element in node.elements:
        value = evaluate(element.value, names)
        if isinstance(element, cst.DictElement):
            key = evaluate(element.key, names)
            if isinstance(key, str | int | float):
                values[key] = value
        elif isinstance(value, dict):
            values.update(value)
    return values


def _binary(node: cst.BinaryOperation, names: Mapping[str, Any]) -> Any:
    left, right = evaluate(node.left, names), evaluate(node.right, names)
    if isinstance(node.operator, cst.Add) and isinstance(left, list) != isinstance(right, list):
        return _partly_known(left, right)
    for kind, compute in _OPERATORS:
        if isinstance(node.operator, kind):
            return _computed(compute, left, right)
    return UNKNOWN


def _partly_known(left: Any, right: Any) -> Any:
    """``[...] + UNKNOWN`` keeps its known items."""
    if left is UNKNOWN or right is UNKNOWN:
        return [
            *(left if isinstance(left, list) else [UNKNOWN]),
            *(right if isinstance(right, list) else [UNKNOWN]),
        ]
    return UNKNOWN


def _computed(compute: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    if left is UNKNOWN or right is UNKNOWN:
        return UNKNOWN
    if isinstance(left, str | list) and isinstance(right, int) and right > 1000:
        return UNKNOWN  # "x" * 10**9 would exhaust memory
    try:
        return compute(left, right)
    except (TypeError, ValueError, OverflowError):
        return UNKNOWN
