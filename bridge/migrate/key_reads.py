"""Reads of a mapping by a string key, such as ``request.META["REQUEST_URI"]``.

Input: a module. Output: a :class:`KeyRead` for each ``x[key]``, ``x.get(key)`` and ``x.pop(key)``.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst

from bridge.migrate.literals import evaluate
from bridge.migrate.module import Module

__all__ = ["KeyRead", "key_reads"]


@dataclass(frozen=True)
class KeyRead:
    """One read.

    :ivar node: the whole expression.
    :ivar mapping: what is read from, such as ``request.META``.
    :ivar method: ``get`` or ``pop``; empty for ``x[key]``, which raises KeyError.
    """

    node: cst.Subscript | cst.Call
    mapping: cst.BaseExpression
    key: str
    method: str


def key_reads(module: Module) -> Iterator[KeyRead]:
    """The reads whose key is a literal. ``x[key] = ...`` and ``del x[key]`` are not reads."""
    for node in module.nodes(cst.Subscript):
        match node.slice:
            case [cst.SubscriptElement(slice=cst.Index(value=value))]:
                key = evaluate(value)
                if isinstance(key, str) and not _is_written(module, node):
                    yield KeyRead(node, node.value, key, "")
            case _:
                pass
    for call in module.nodes(cst.Call):
        match call:
            case cst.Call(
                func=cst.Attribute(value=mapping, attr=cst.Name(value="get" | "pop" as method)),
                args=[cst.Arg(value=value), *_],
            ):
                key = evaluate(value)
                if isinstance(key, str):
                    yield KeyRead(call, mapping, key, method)
            case _:
                pass


def _is_written(module: Module, node: cst.Subscript) -> bool:
    return isinstance(module.parent(node), cst.AssignTarget | cst.Del)
