"""Sync database calls in an ``async def``.

The call raises ``SynchronousOnlyOperation``, in an async view a 500, under every server: Django
refuses to wait for the database on the thread of the event loop. Each method has an async form with
an ``a`` before its name, querysets are iterated with ``async for``, and calls without an async form
go through ``sync_to_async``.

Before::

    async def shop(request):
        orders = Order.objects.filter(open=True)
        names = [order.name for order in orders]
        shop = Shop.objects.get(pk=1)

After::

    async def shop(request):
        orders = Order.objects.filter(open=True)
        names = [order.name async for order in orders]
        shop = await Shop.objects.aget(pk=1)

The fix is unsafe: other requests run while this one waits, where none did before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from bridge.migrate.findings import Edit, Finding, Fix, Severity
from bridge.migrate.functions import (
    coroutine_of,
    imports_any,
    in_comprehension,
    is_awaited,
    is_test,
)
from bridge.migrate.module import N
from bridge.migrate.querysets import ASYNC_OF, ASYNC_OF_INSTANCE, AUTH, SHORTCUTS, Querysets
from bridge.migrate.rule import Rule
from bridge.migrate.versions import django_is_at_least

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

_EVALUATES = frozenset(
    (
        *("list", "tuple", "set", "frozenset", "dict", "len", "bool", "sorted", "any", "all"),
        *("max", "min", "sum", "enumerate", "zip"),
    )
)
_RAISES = "raises SynchronousOnlyOperation on the event loop"
_WRAP = "move it to a sync function, and call that with sync_to_async"
_CURSORS = ("django.db.connection.cursor", "django.db.connections.cursor")


class SyncOrm(Rule):
    """See the module's docstring."""

    code = "V407"
    name = "sync-orm-in-async"
    summary = "sync ORM calls in async code: SynchronousOnlyOperation"
    native = Severity.ERROR
    bridge = Severity.ERROR
    fix = "unsafe"
    triggers = ("async def",)

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        if is_test(module) or not _is_django(module, project):
            return
        known = Querysets(module, project)
        for call in _on_loop(module, cst.Call):
            if not is_awaited(module, call):
                yield from self._call(module, project, known, call)
        yield from self._loops(module, known)
        yield from self._tests(module, known)
        yield from self._transactions(module)

    def _call(
        self, module: Module, project: Project, known: Querysets, call: cst.Call
    ) -> Iterator[Finding]:
        name = module.qualified(call) or ""
        if name in SHORTCUTS or name in AUTH:
            instead = SHORTCUTS.get(name) or AUTH[name]
            package = name.rpartition(".")[0]
            is_there = django_is_at_least(project, 5)
            fix = _awaited(module, call, call.func, instead, package) if is_there else None
            yield self._finding(module, call, name.rpartition(".")[2] + "()", instead, fix)
        elif name in _CURSORS:
            yield self.at(module, call, f"connection.cursor() {_RAISES}", _WRAP)
        elif isinstance(call.func, cst.Attribute):
            yield from self._method(module, known, call, call.func)
        elif name in _EVALUATES and any(known.is_queryset(each.value) for each in call.args):
            yield self._evaluated(module, call, f"{name}()", _as_list(module, call))

    def _method(
        self, module: Module, known: Querysets, call: cst.Call, func: cst.Attribute
    ) -> Iterator[Finding]:
        method = func.attr.value
        instead = ""
        if method in ASYNC_OF and known.is_queryset(func.value):
            instead = ASYNC_OF[method]
        elif method in ASYNC_OF_INSTANCE and known.is_instance(func.value):
            instead = ASYNC_OF_INSTANCE[method]
        if instead:
            fix = _awaited(module, call, func.attr, instead)
            yield self._finding(module, call, f".{method}()", instead, fix)
        elif method == "join" and any(known.is_queryset(each.value) for each in call.args):
            yield self._evaluated(module, call, "join()", None)

    def _finding(
        self, module: Module, node: cst.CSTNode, what: str, instead: str, fix: Fix | None
    ) -> Finding:
        return self.at(module, node, f"{what} {_RAISES}", f"use await {instead}(...)", fix=fix)

    def _evaluated(self, module: Module, node: cst.CSTNode, what: str, fix: Fix | None) -> Finding:
        return self.at(
            module,
            node,
            f"{what} evaluates the queryset, which {_RAISES}",
            "use async for, or await acount() or aexists()",
            fix=fix,
        )

    def _loops(self, module: Module, known: Querysets) -> Iterator[Finding]:
        loops: list[cst.For | cst.CompFor]
        loops = [*_on_loop(module, cst.For), *_on_loop(module, cst.CompFor)]
        for loop in loops:
            if loop.asynchronous is None and _is_iterated(known, loop.iter):
                yield self._evaluated(module, loop.iter, "this iteration", _async_for(module, loop))

    def _tests(self, module: Module, known: Querysets) -> Iterator[Finding]:
        branches: list[cst.If | cst.While | cst.IfExp] = [
            *_on_loop(module, cst.If),
            *_on_loop(module, cst.While),
            *_on_loop(module, cst.IfExp),
        ]
        for test in (branch.test for branch in branches):
            if known.is_queryset(test):
                yield self._evaluated(module, test, "this truth test", None)
        for negated in _on_loop(module, cst.UnaryOperation):
            if isinstance(negated.operator, cst.Not) and known.is_queryset(negated.expression):
                yield self._evaluated(module, negated, "this truth test", None)
        for item in _on_loop(module, cst.Subscript):
            match item.slice:
                case [cst.SubscriptElement(slice=cst.Index())] if known.is_queryset(item.value):
                    yield self._evaluated(module, item, "this index", None)
        for comparison in _on_loop(module, cst.ComparisonTarget):
            is_in = isinstance(comparison.operator, cst.In | cst.NotIn)
            if is_in and known.is_queryset(comparison.comparator):
                yield self._evaluated(module, comparison.comparator, "the operator in", None)

    def _transactions(self, module: Module) -> Iterator[Finding]:
        for node in _on_loop(module, cst.With):
            for item in node.items:
                if node.asynchronous is None and _is_atomic(module, item.item):
                    yield self.at(module, item, f"transaction.atomic {_RAISES}", _WRAP)
        for function in module.nodes(cst.FunctionDef):
            for decorator in function.decorators if function.asynchronous else ():
                if _is_atomic(module, decorator.decorator):
                    yield self.at(
                        module, decorator, f"transaction.atomic on an async def {_RAISES}", _WRAP
                    )


def _is_django(module: Module, project: Project) -> bool:
    """Whether a module uses Django, or the models of a Django project."""
    if imports_any(module, "django", "channels"):
        return True
    return "models" in module.text and (project.is_django or _has_models(project))


def _has_models(project: Project) -> bool:
    """Whether it defines Django models without being a whole project: an app to install."""
    return any("models.Model" in module.text for module in project.containing("django.db"))


def _on_loop(module: Module, kind: type[N]) -> Iterator[N]:
    """The nodes of a type that an ``async def`` runs itself."""
    for node in module.nodes(kind):
        if coroutine_of(module, node) is not None:
            yield node


def _is_iterated(known: Querysets, node: cst.BaseExpression) -> bool:
    match node:
        case cst.Call(func=cst.Attribute(value=owner, attr=cst.Name(value="iterator"))):
            return known.is_queryset(owner)
        case _:
            return known.is_queryset(node)


def _is_atomic(module: Module, node: cst.BaseExpression) -> bool:
    return module.qualified(node) == "django.db.transaction.atomic"


# -- fixes -----------------------------------------------------------------------------------------


def _awaited(
    module: Module, call: cst.Call, name: cst.BaseExpression, instead: str, package: str = ""
) -> Fix | None:
    """Call the async form, and await it."""
    if in_comprehension(module, call):
        return None
    start, end = "await ", ""
    if _binds_tighter(module, call) and not call.lpar:
        start, end = "(await ", ")"
    edits: tuple[Edit, ...] = (
        module.insert_before(call, start),
        module.replace(name, instead),
        *((module.insert_after(call, end),) if end else ()),
        *(_imported(module, package, instead) if package else ()),
    )
    return Fix(f"Await {instead}()", edits, safe=False)


def _imported(module: Module, package: str, name: str) -> tuple[Edit, ...]:
    if module.imports.get(name) == f"{package}.{name}":
        return ()
    return module.add_import(f"from {package} import {name}")


def _binds_tighter(module: Module, node: cst.CSTNode) -> bool:
    """Whether the expression around a node binds tighter than ``await`` does."""
    above = module.parent(node)
    if isinstance(above, cst.Attribute | cst.Subscript):
        return above.value is node
    return isinstance(above, cst.Call | cst.BinaryOperation) and not isinstance(node, cst.Arg)


def _async_for(module: Module, loop: cst.For | cst.CompFor) -> Fix | None:
    """``async for``, with aiterator() in place of iterator()."""
    if isinstance(loop, cst.CompFor) and not _is_only_list(module, loop):
        return None
    text = module.source(loop)
    start = module.span(loop)[0] + len(text) - len(text.lstrip())
    edits = [Edit(module.path, start, start, "async ")]
    match loop.iter:
        case cst.Call(func=cst.Attribute(attr=cst.Name(value="iterator") as name)):
            edits.append(module.replace(name, "aiterator"))
    return Fix("Iterate with async for", tuple(edits), safe=False)


def _is_only_list(module: Module, loop: cst.CompFor) -> bool:
    """Whether it is the first ``for`` of a list, set or dictionary, in no other comprehension."""
    above = module.parent(loop)
    if not isinstance(above, cst.ListComp | cst.SetComp | cst.DictComp):
        return False
    return not in_comprehension(module, above)


def _as_list(module: Module, call: cst.Call) -> Fix | None:
    """``[each async for each in queryset]``"""
    if not (isinstance(call.func, cst.Name) and call.func.value == "list" and len(call.args) == 1):
        return None
    if in_comprehension(module, call):
        return None
    inner = module.source(call.args[0].value)
    edit = module.replace(call, f"[each async for each in {inner}]")
    return Fix("Collect with async for", (edit,), safe=False)
