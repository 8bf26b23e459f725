"""A ``MiddlewareMixin`` that overrides ``__call__`` with a sync one.

Under ASGI the request is a 500. ``MiddlewareMixin`` declares that it can run async, so Django gives
it an async ``get_response`` and awaits its result; a sync ``__call__`` treats the coroutine as a
response. Under WSGI it works, and with `bridge` for sync views.

A ``__call__`` that only returns the result of ``super().__call__`` is correct, and is not reported.
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

Django then runs this middleware, and all middleware outside of it, in a thread. The fix is unsafe:
this may be slower, and async code outside of it runs on another thread than before.
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

_HELP = "add an async __acall__, or set async_capable = False"
_ASYNC_SIGNS = ("__acall__", "iscoroutinefunction", "async_mode", "async_to_sync")


class CallOverride(Rule):
    """See the module's docstring."""

    code = "M202"
    name = "middleware-overrides-call"
    summary = "a MiddlewareMixin that overrides __call__ with a sync one: 500 under ASGI"
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
        if call is None or call.asynchronous is not None or _supports_async(module, call):
            return
        if not derives_from(project, module, node, MIXIN):
            return
        if attribute(project, module, node, "async_capable", True) is not False:
            yield self._finding(module, node, call)

    def _finding(self, module: Module, node: cst.ClassDef, call: cst.FunctionDef) -> Finding:
        name = node.name.value
        if any(_passes_on(module, call)):
            message = (
                f"under ASGI a request that {name} answers itself is a 500: {name} is a "
                "MiddlewareMixin, and the response of its sync __call__ cannot be awaited"
            )
        else:
            message = (
                f"every request under ASGI is a 500: {name} is a MiddlewareMixin whose sync "
                "__call__ treats the coroutine of the next layer as a response"
            )
        return self.at(module, call, message, _HELP, fix=_fix(module, node))

    def check_project(self, project: Project) -> Iterator[Finding]:
        """Probed middleware of packages, and the project's own in modules without a trigger."""
        for module, node in unnamed_middleware(project):
            yield from self._in_class(module, node, project)
        for entry in entries(project):
            fact = entry.fact
            if entry.code is not None or entry.setting is None:
                continue  # check_module finds the project's own
            if not (fact.overrides_call and fact.async_capable and fact.is_used):
                continue
            yield self.at(
                *entry.setting,
                f"every request under ASGI may be a 500: {fact.path} is a MiddlewareMixin that "
                "overrides __call__ with a sync one",
                "look for a newer release, or use a subclass with async_capable = False",
                source=entry.source,
            )


def _supports_async(module: Module, call: cst.FunctionDef) -> bool:
    """Whether it returns what the next layer returns, or has code for async."""
    text = module.source(call)
    if any(word in text for word in _ASYNC_SIGNS):
        return True
    passed_on = _passes_on(module, call)
    return bool(passed_on) and all(passed_on)


def _passes_on(module: Module, call: cst.FunctionDef) -> list[bool]:
    """For each ``return``, whether it returns the result of the next layer unchanged."""
    returned = [each.value for each in module.inside(call, cst.Return)]
    return [value is not None and _is_passed_on(module, call, value) for value in returned]


def _is_passed_on(module: Module, call: cst.FunctionDef, value: cst.BaseExpression) -> bool:
    if not isinstance(value, cst.Name):
        return _is_super_call(module, value)
    values = assigned_values(module, call, value.value) or []
    uses = [each for each in module.inside(call, cst.Name) if each.value == value.value]
    is_unchanged = all(
        isinstance(module.parent(each), cst.AssignTarget | cst.AnnAssign | cst.Return)
        for each in uses
    )
    return bool(values) and is_unchanged and all(_is_super_call(module, each) for each in values)


def _is_super_call(module: Module, value: cst.BaseExpression) -> bool:
    return isinstance(value, cst.Call) and module.source(value.func) in (
        "super().__call__",
        "self.get_response",
    )


def _sets_async_capable(module: Module, node: cst.ClassDef) -> bool:
    """Whether the class sets ``async_capable`` below, which overrides the line of the fix."""
    targets = module.inside(node, cst.AssignTarget)
    return any(module.source(each.target) == "async_capable" for each in targets)


def _fix(module: Module, node: cst.ClassDef) -> Fix | None:
    if not isinstance(node.body, cst.IndentedBlock) or _sets_async_capable(module, node):
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
