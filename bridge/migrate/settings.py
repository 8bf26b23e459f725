"""The settings of a Django project: as written in its sources, and as Django resolved them.

Input: the project's modules and, after introspection, the resolved values. Output: a
:class:`Setting` by name: the value, where it is written, and its source.

In the sources, ``from .base import *`` is followed, as are ``+=``, ``append``, ``insert``,
``extend`` and ``remove``. ``if`` bodies are assumed to run, in source order; of ``if`` and
``else``, the ``if`` body wins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import libcst as cst

from bridge.migrate.findings import Source
from bridge.migrate.imports import module_of
from bridge.migrate.literals import UNKNOWN, evaluate
from bridge.migrate.module import Module
from bridge.migrate.text import CannotRead

__all__ = ["Setting", "Settings", "read_settings"]


@dataclass(frozen=True)
class Setting:
    """One setting.

    :ivar value: lists and tuples as a list. :data:`~bridge.migrate.literals.UNKNOWN`, or such an
        item in the list, for what only the running project could know.
    :ivar source: R if resolved by the running project, else S.
    :ivar module: where it was assigned last; None for Django's own default.
    :ivar node: that assignment, or call of ``append``.
    :ivar times: the number of statements that built the value: 1 for a plain assignment.
    """

    value: Any
    source: Source
    module: Module | None
    node: cst.CSTNode | None
    times: int = 1

    @property
    def is_known(self) -> bool:
        """Whether no part of the value is unknown."""
        return self.value is not UNKNOWN and not (
            isinstance(self.value, list) and UNKNOWN in self.value
        )

    @property
    def place(self) -> tuple[Module, cst.CSTNode] | None:
        """The last assignment and its module; None where the project does not write it."""
        return None if self.module is None or self.node is None else (self.module, self.node)

    @property
    def literal(self) -> cst.BaseExpression | None:
        """The expression, if one plain assignment gives the whole value."""
        if self.times == 1 and isinstance(self.node, cst.Assign | cst.AnnAssign):
            return self.node.value
        return None


class Settings:
    """All settings of one project, by name."""

    def __init__(
        self,
        written: dict[str, Setting],
        resolved: dict[str, Any] | None = None,
        *,
        is_changed: bool = False,
    ) -> None:
        """:param written: from the sources.
        :param resolved: from introspection.
        :param is_changed: whether the sources have changed since introspection: known written
            values then override resolved ones.
        """
        self._written = written
        self._resolved = resolved or {}
        self._is_changed = is_changed

    def get(self, name: str) -> Setting | None:
        """The setting, or None if neither the project nor, after introspection, Django sets it."""
        written = self._written.get(name)
        if name not in self._resolved:
            return written
        resolved = self._resolved[name]
        if written is None:
            return Setting(resolved, Source.RUNTIME, None, None, 0)
        value = _filled(written.value, resolved) if self._is_changed else resolved
        return Setting(value, Source.RUNTIME, written.module, written.node, written.times)

    def value(self, name: str, default: Any = None) -> Any:
        """The value; ``default`` if it is not set or unknown."""
        setting = self.get(name)
        return default if setting is None or setting.value is UNKNOWN else setting.value

    def strings(self, name: str) -> list[str]:
        """The known strings of a setting that is a list, such as ``MIDDLEWARE``."""
        value = self.value(name)
        return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []

    def names(self) -> set[str]:
        """The names of all settings."""
        return {*self._written, *self._resolved}


def _filled(written: Any, resolved: Any) -> Any:
    """The written value, with its unknown parts as resolved."""
    if written is UNKNOWN or (isinstance(written, list) and UNKNOWN in written):
        return resolved
    if isinstance(written, dict) and isinstance(resolved, dict):
        filled = {key: _filled(each, resolved.get(key)) for key, each in written.items()}
        return {**resolved, **filled}
    return written


def read_settings(find: Callable[[str], Module | None], name: str) -> dict[str, Setting]:
    """The settings of a module, as written.

    :param find: returns the project's module of a name.
    :param name: of the settings module.
    """
    reader = _Reader(find)
    reader.read(name)
    return reader.found


class _Reader:
    """Reads settings modules from top to bottom, as Python would run them."""

    def __init__(self, find: Callable[[str], Module | None]) -> None:
        self.found: dict[str, Setting] = {}
        self._values: dict[str, Any] = {}
        self._find = find
        self._seen: set[str] = set()

    def read(self, name: str) -> None:
        module = self._find(name)
        if module is None or name in self._seen:
            return
        self._seen.add(name)
        module.is_kept = True
        try:
            body = module.tree.body
        except CannotRead:
            return  # the report names it: see Module.failure
        self._block(module, body)

    def _block(self, module: Module, body: Sequence[cst.CSTNode]) -> None:
        for statement in body:
            if isinstance(statement, cst.SimpleStatementLine):
                for small in statement.body:
                    self._statement(module, small)
            elif isinstance(statement, cst.If | cst.Try | cst.With | cst.Else):
                self._compound(module, statement)

    def _compound(self, module: Module, node: cst.If | cst.Try | cst.With | cst.Else) -> None:
        self._block(module, node.body.body)
        if isinstance(node, cst.If | cst.Try) and node.orelse is not None:
            before = dict(self.found), dict(self._values)
            self._compound(module, node.orelse)
            if isinstance(node, cst.If):  # the first branch wins
                self.found.update(before[0])
                self._values.update(before[1])

    def _statement(self, module: Module, node: cst.BaseSmallStatement) -> None:
        match node:
            case cst.ImportFrom(names=cst.ImportStar()):
                self.read(module_of(node, module.package) or "")
            case cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value=name))], value=value):
                self._set(module, node, name, evaluate(value, self._values), 1)
            case cst.AnnAssign(target=cst.Name(value=name), value=cst.BaseExpression() as value):
                self._set(module, node, name, evaluate(value, self._values), 1)
            case cst.AugAssign(target=cst.Name(value=name), operator=cst.AddAssign()):
                added = evaluate(node.value, self._values)
                self._change(module, node, name, lambda old: _plus(old, added))
            case cst.Expr(value=cst.Call() as call):
                self._call(module, call)
            case cst.Assign(
                targets=[cst.AssignTarget(target=cst.Subscript() as target)], value=value
            ):
                self._item(module, node, target, evaluate(value, self._values))
            case _:
                pass

    def _set(self, module: Module, node: cst.CSTNode, name: str, value: Any, times: int) -> None:
        self._values[name] = value
        if name.isupper():
            self.found[name] = Setting(value, Source.SOURCES, module, node, times)

    def _change(
        self, module: Module, node: cst.CSTNode, name: str, change: Callable[[Any], Any]
    ) -> None:
        before = self.found[name].times if name in self.found else 0
        value = change(self._values.get(name, UNKNOWN))
        self._set(module, node, name, value, before + 1)

    def _call(self, module: Module, call: cst.Call) -> None:
        match call.func:
            case cst.Attribute(value=cst.Name(value=name), attr=cst.Name(value=method)):
                arguments = [evaluate(each.value, self._values) for each in call.args]
                if method in _METHODS and name in self._values:
                    self._change(module, call, name, lambda old: _METHODS[method](old, arguments))
            case _:
                pass

    def _item(self, module: Module, node: cst.CSTNode, target: cst.Subscript, value: Any) -> None:
        """``DATABASES["default"]["CONN_MAX_AGE"] = 60``"""
        keys: list[Any] = []
        inner: cst.BaseExpression = target
        while isinstance(inner, cst.Subscript):
            match inner.slice:
                case [cst.SubscriptElement(slice=cst.Index(value=key))]:
                    keys.append(evaluate(key, self._values))
                case _:
                    return
            inner = inner.value
        if isinstance(inner, cst.Name):
            path = keys[::-1]
            self._change(module, node, inner.value, lambda old: _with_item(old, path, value))


def _plus(old: Any, added: Any) -> Any:
    if isinstance(old, list) or isinstance(added, list):
        left = old if isinstance(old, list) else [UNKNOWN]
        return [*left, *(added if isinstance(added, list) else [UNKNOWN])]
    return UNKNOWN


def _with_item(old: Any, path: list[Any], value: Any) -> Any:
    if not path:
        return value
    if not isinstance(old, dict) or not isinstance(path[0], str | int):
        return old
    return {**old, path[0]: _with_item(old.get(path[0], {}), path[1:], value)}


def _append(old: Any, arguments: list[Any]) -> Any:
    return [*old, arguments[0]] if isinstance(old, list) and arguments else old


def _extend(old: Any, arguments: list[Any]) -> Any:
    return _plus(old, arguments[0] if arguments else UNKNOWN)


def _insert(old: Any, arguments: list[Any]) -> Any:
    match old, arguments:
        case list(), [int(at), value]:
            return [*old[:at], value, *old[at:]]
        case list(), [_, value]:  # a computed index
            return [value, *old]
    return old


def _remove(old: Any, arguments: list[Any]) -> Any:
    return [each for each in old if each not in arguments] if isinstance(old, list) else old


_METHODS: dict[str, Callable[[Any, list[Any]], Any]] = {
    "append": _append,
    "extend": _extend,
    "insert": _insert,
    "remove": _remove,
}
