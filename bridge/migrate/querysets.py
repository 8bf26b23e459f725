"""Recognizes Django querysets and model instances within one function.

Input: expressions inside an ``async def``. Output: whether they are querysets or instances. To
avoid false findings, a name from outside the function, or a method that is not Django's, is
neither.
"""

from __future__ import annotations

import libcst as cst

from bridge.migrate.classes import derives_from, find_class
from bridge.migrate.functions import assigned_values, function_of
from bridge.migrate.module import Module
from bridge.migrate.project import Project

__all__ = ["ASYNC_OF", "ASYNC_OF_INSTANCE", "AUTH", "SHORTCUTS", "Querysets"]

_MANAGERS = ("objects", "_default_manager", "_base_manager")
_LAZY = frozenset(
    (
        *("all", "filter", "exclude", "annotate", "alias", "order_by", "reverse", "distinct"),
        *("values", "values_list", "dates", "datetimes", "union", "intersection", "difference"),
        *("select_related", "extra", "defer", "only", "prefetch_related", "using"),
        *("select_for_update", "raw", "complex_filter"),
    )
)
_RELATED = frozenset(("all", "filter", "exclude", "select_related", "order_by", "values_list"))
_NAMES = (
    *("get", "create", "get_or_create", "update_or_create", "bulk_create", "bulk_update"),
    *("count", "exists", "first", "last", "earliest", "latest", "delete", "update"),
    *("aggregate", "in_bulk", "contains", "explain"),
)
ASYNC_OF = {name: f"a{name}" for name in _NAMES}
"""The queryset methods that query the database, and their async forms (Django 4.1 and newer)."""
ASYNC_OF_INSTANCE = {name: f"a{name}" for name in ("save", "delete", "refresh_from_db")}
"""The same for model instances (Django 4.2 and newer)."""
SHORTCUTS = {
    f"django.shortcuts.{name}": f"a{name}" for name in ("get_object_or_404", "get_list_or_404")
}
"""Shortcuts that have async forms (Django 5.0 and newer)."""
AUTH = {
    f"django.contrib.auth.{name}": f"a{name}"
    for name in ("authenticate", "login", "logout", "get_user", "update_session_auth_hash")
}
"""The same, for functions that load or store the user."""
_RETURNS_INSTANCE = frozenset(("get", "create", "first", "last", "earliest", "latest"))


class Querysets:
    """The querysets and model instances of one module."""

    def __init__(self, module: Module, project: Project) -> None:
        self._module = module
        self._project = project
        self._pending: set[tuple[str, int]] = set()

    def is_queryset(self, node: cst.CSTNode) -> bool:
        """Whether it is a manager, or a queryset that has not queried the database yet."""
        match node:
            case cst.Attribute(attr=cst.Name(value=name)) if name in _MANAGERS:
                return self._is_model(node.value)
            case cst.Call(func=cst.Attribute(value=owner, attr=cst.Name(value=name))):
                if name in _LAZY and self.is_queryset(owner):
                    return True
                return name in _RELATED and self._is_relation(owner)
            case cst.Subscript(value=owner, slice=[cst.SubscriptElement(slice=cst.Slice())]):
                return self.is_queryset(owner)
            case cst.Name():
                return self._is_local(node, "queryset") and not self._is_loaded(node)
            case _:
                return False

    def _is_model(self, node: cst.BaseExpression) -> bool:
        """Whether ``.objects`` of it is a manager; boto3's collections also have one."""
        if isinstance(node, cst.Call):
            name = self._module.qualified(node) or ""
            return name.endswith(("get_user_model", "get_model")) or name == "type"
        last = (self._module.source(node)).rpartition(".")[2]
        if last not in ("model", "cls", "__class__") and not last[:1].isupper():
            return False
        found = self._class_of(node)
        return found is None or not _is_of_another_library(*found)

    def _class_of(self, node: cst.BaseExpression) -> tuple[Module, cst.ClassDef] | None:
        name = self._module.qualified(node)
        return find_class(self._project, self._module, name) if name else None

    def is_instance(self, node: cst.CSTNode) -> bool:
        """Whether it is a name for a model instance."""
        return isinstance(node, cst.Name) and self._is_local(node, "instance")

    def _is_relation(self, node: cst.CSTNode) -> bool:
        """``order.lines``, unless it may be prefetched."""
        if not isinstance(node, cst.Attribute) or not self.is_instance(node.value):
            return False
        function = function_of(self._module, node)
        return function is not None and "prefetch" not in self._module.source(function)

    def _is_local(self, node: cst.Name, kind: str) -> bool:
        function = function_of(self._module, node)
        key = (f"{kind} {node.value}", id(function))
        if function is None or key in self._pending:
            return False
        self._pending.add(key)  # ends the recursion of qs = qs.filter(...)
        try:
            values = assigned_values(self._module, function, node.value)
            others = [v for v in values or () if not self._is_chained_on(v, node.value)]
            check = self.is_queryset if kind == "queryset" else self._returns_instance
            return bool(others) and all(check(value) for value in others)
        finally:
            self._pending.discard(key)

    def _is_chained_on(self, value: cst.BaseExpression, name: str) -> bool:
        """``qs.filter(...)``, for the name ``qs``."""
        inner: cst.CSTNode = value
        while isinstance(inner, cst.Call | cst.Attribute):
            is_lazy = not isinstance(inner, cst.Attribute) or inner.attr.value in _LAZY
            if not is_lazy:
                return False
            inner = inner.func if isinstance(inner, cst.Call) else inner.value
        return isinstance(inner, cst.Name) and inner.value == name and inner is not value

    def _returns_instance(self, value: cst.BaseExpression) -> bool:
        awaited = isinstance(value, cst.Await)
        call = value.expression if isinstance(value, cst.Await) else value
        if not isinstance(call, cst.Call):
            return False
        name = self._module.qualified(call) or ""
        if name in SHORTCUTS or name == "django.shortcuts.aget_object_or_404":
            return not name.endswith("list_or_404")
        match call.func:
            case cst.Attribute(value=owner, attr=cst.Name(value=method)):
                plain = method.removeprefix("a") if awaited else method
                return plain in _RETURNS_INSTANCE and self.is_queryset(owner)
            case cst.Name():
                found = self._class_of(call.func)
                return found is not None and derives_from(
                    self._project, *found, "django.db.models.Model"
                )
            case _:
                return False

    def _is_loaded(self, node: cst.Name) -> bool:
        """Whether another thread, or an ``async for``, may have filled the queryset's cache."""
        function = function_of(self._module, node)
        for each in self._module.nodes(cst.Name):
            if each.value == node.value and function_of(self._module, each) is function:
                above = self._module.parent(each)
                if isinstance(above, cst.Arg) and self._is_under_await(above):
                    return True
                if isinstance(above, cst.For | cst.CompFor) and above.asynchronous is not None:
                    return True
        return False

    def _is_under_await(self, node: cst.Arg) -> bool:
        return isinstance(
            self._module.enclosing(node, cst.Await, cst.SimpleStatementLine), cst.Await
        )


def _is_of_another_library(module: Module, node: cst.ClassDef) -> bool:
    """The documents of mongoengine and other libraries also have ``objects``."""
    names = {base.partition(".")[0] for base in module.base_names(node)}
    return bool(names & {"mongoengine", "beanie", "tortoise", "ormar", "odmantic", "elasticsearch"})
