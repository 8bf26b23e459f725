"""A ``MiddlewareMixin`` that overrides ``__call__`` with a sync one.

``MiddlewareMixin`` says that it can run async, so under ASGI Django gives it an async
``get_response`` and awaits what it returns. A sync ``__call__`` of its own treats the coroutine as
a response: the request is a 500. Under WSGI, and through `bridge` for sync views, it works.

A ``__call__`` that only hands on what ``super().__call__`` returns is right, and is not reported.
One that does so for some requests, and answers others itself, fails for those others.

Before::

    class Timing(MiddlewareMixin):
        def __call__(self, request):
            started = time.perf_counter()
            response = self.get_response(request)
            response["X-Took"] = str(time.perf_counter() - started)
            return response

After::

    class Timing(MiddlewareMixin):
        async_capable = False

        def __call__(self, request):
            started = time.perf_counter()
            response = self.get_response(request)
            response["X-Took"] = str(time.perf_counter() - started)
            return response

Django runs it, and all that is outside of it, in a thread then. The fix is unsafe, for that may be
slower, and code that is outside and async runs elsewhere than before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from bridge.migrate.classes import attribute, derives_from, method_of
from bridge.migrate.findings import Finding, Fix, Severity, Source
from bridge.migrate.functions import assigned_values
from bridge.migrate.middleware import MIXIN, entries, unnamed_middleware
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

_HELP = "write an async __acall__ too, or set async_capable = False"
_KNOWS_ASYNC = ("__acall__", "iscoroutinefunction", "async_mode", "async_to_sync")


class CallOverride(Rule):
    """See the module's docstring."""

    code = "M202"
    name = "middleware-overrides-call"
    summary = "a MiddlewareMixin with a sync __call__ of its own: 500 under ASGI"
    native = Severity.ERROR
    bridge = None
    sources = (Source.SOURCES, Source.RUNTIME)
    fix = "unsafe"
    triggers = ("Middleware",)

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        if "__call__" in module.text:
            for node in module.classes():
                yield from self._in_class(module, node, project)

    def _in_class(self, module: Module, node: cst.ClassDef, project: Project) -> Iterator[Finding]:
        call = method_of(node, "__call__")
        if call is None or call.asynchronous is not None or _copes(module, call):
            return
        if not derives_from(project, module, node, MIXIN):
            return
        if attribute(project, module, node, "async_capable", True) is not False:
            yield self._finding(module, node, call)

    def _finding(self, module: Module, node: cst.ClassDef, call: cst.FunctionDef) -> Finding:
        message = f"{node.name.value} is a MiddlewareMixin with a sync __call__ of its own, "
        if any(_handed_on(module, call)):
            message += (
                "which returns a coroutine where it hands the request on, and nothing that can be "
                "awaited where it does not: such a request under ASGI is a 500"
            )
        else:
            message += (
                "which takes the coroutine of the next layer for a response: every request under "
                "ASGI is a 500"
            )
        return self.at(module, call, message, _HELP, fix=_fix(module, node))

    def check_project(self, project: Project) -> Iterator[Finding]:
        """Middleware from elsewhere, which was probed, and of ours what is not called one."""
        for module, node in unnamed_middleware(project):
            yield from self._in_class(module, node, project)
        for entry in entries(project):
            fact = entry.fact
            if entry.code is not None or entry.setting is None:
                continue  # the project's own is found in its code
            if not (fact.overrides_call and fact.async_capable and fact.is_used):
                continue
            yield self.at(
                *entry.setting,
                f"{fact.path} is a MiddlewareMixin with a sync __call__ of its own; under ASGI "
                "every request may be a 500",
                "look for a newer release, or use a subclass of it with async_capable = False",
                source=entry.source,
            )


def _copes(module: Module, call: cst.FunctionDef) -> bool:
    """Whether it hands on what the next layer returns, or knows about async."""
    text = module.source(call)
    if any(word in text for word in _KNOWS_ASYNC):
        return True
    handed_on = _handed_on(module, call)
    return bool(handed_on) and all(handed_on)


def _handed_on(module: Module, call: cst.FunctionDef) -> list[bool]:
    """Of each ``return``, whether it hands on what the next layer returns, untouched."""
    returned = [each.value for each in module.inside(call, cst.Return)]
    return [value is not None and _is_handed_on(module, call, value) for value in returned]


def _is_handed_on(module: Module, call: cst.FunctionDef, value: cst.BaseExpression) -> bool:
    if not isinstance(value, cst.Name):
        return _is_super_call(module, value)
    values = assigned_values(module, call, value.value) or []
    uses = [each for each in module.inside(call, cst.Name) if each.value == value.value]
    untouched = all(
        isinstance(module.parent(each), cst.AssignTarget | cst.AnnAssign | cst.Return)
        for each in uses
    )
    return bool(values) and untouched and all(_is_super_call(module, each) for each in values)


def _is_super_call(module: Module, value: cst.BaseExpression) -> bool:
    return isinstance(value, cst.Call) and module.source(value.func) in (
        "super().__call__",
        "self.get_response",
    )


def _says_itself(module: Module, node: cst.ClassDef) -> bool:
    """Whether the class sets ``async_capable`` further down, which would win."""
    targets = module.inside(node, cst.AssignTarget)
    return any(module.source(each.target) == "async_capable" for each in targets)


def _fix(module: Module, node: cst.ClassDef) -> Fix | None:
    if not isinstance(node.body, cst.IndentedBlock) or _says_itself(module, node):
        return None
    first = node.body.body[0]
    indent = module.indent_of(first)
    number = module.line_of(module.span(first)[0])
    if isinstance(first, cst.FunctionDef) and first.decorators:
        number = module.position(first.decorators[0])[0]
    edit = module.insert_line(number, f"{indent}async_capable = False\n\n")
    docstring = isinstance(first, cst.SimpleStatementLine) and node.get_docstring() is not None
    if docstring:
        below = module.line_of(module.span(first)[1]) + 1
        edit = module.insert_line(below, f"\n{indent}async_capable = False\n")
    return Fix("Set async_capable = False", (edit,), safe=False)
