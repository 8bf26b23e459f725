"""A middleware whose ``__init__`` does not call ``MiddlewareMixin.__init__``.

Under Django's ASGI handler every request is a 500. ``MiddlewareMixin.__init__`` checks whether the
next layer is async, and marks the middleware as awaitable if so; without the call Django gets a
response where it expects a coroutine. With `bridge`, requests to sync views are not affected; for
async views the hooks of this middleware do not run. Under WSGI the mistake has no effect up to
Django 5.0, and in later versions none if the class overrides ``__call__``.

Before::

    class Timing(MiddlewareMixin):
        def __init__(self, get_response):
            self.get_response = get_response
            self.clock = time.perf_counter

After::

    class Timing(MiddlewareMixin):
        def __init__(self, get_response):
            super().__init__(get_response)
            self.clock = time.perf_counter
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from bridge.migrate.classes import derives_from, method_of
from bridge.migrate.findings import Finding, Fix, Severity
from bridge.migrate.imports import is_docstring
from bridge.migrate.middleware import MIXIN, unnamed_middleware
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project


class InitWithoutSuper(Rule):
    """See the module's docstring."""

    code = "M203"
    name = "middleware-init-without-super"
    summary = "a MiddlewareMixin whose __init__ does not call super().__init__()"
    native = Severity.ERROR
    bridge = Severity.ERROR
    fix = "safe"
    triggers = ("Middleware",)

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        if "__init__" in module.text:
            for node in module.classes():
                yield from self._in_class(module, node, project)

    def check_project(self, project: Project) -> Iterator[Finding]:
        """Middleware of the project in modules without the trigger."""
        for module, node in unnamed_middleware(project):
            yield from self._in_class(module, node, project)

    def _in_class(self, module: Module, node: cst.ClassDef, project: Project) -> Iterator[Finding]:
        init = method_of(node, "__init__")
        if init is None or not derives_from(project, module, node, MIXIN):
            return
        if "__init__" not in {_super_call(call) for call in module.inside(init, cst.Call)}:
            yield self.at(
                module,
                init,
                "under ASGI every request is a 500, or the hooks do not run: "
                f"{node.name.value}.__init__ does not call super().__init__(), so it is not marked "
                "async",
                "call super().__init__(get_response)",
                fix=_fix(module, init),
            )


def _super_call(call: cst.Call) -> str:
    match call.func:
        case cst.Attribute(attr=cst.Name(value=name)):
            return name
        case _:
            return ""


def _fix(module: Module, init: cst.FunctionDef) -> Fix | None:
    names = [parameter.name.value for parameter in init.params.params]
    if len(names) < 2 or not isinstance(init.body, cst.IndentedBlock):
        return None
    argument = names[1]
    call = f"super().__init__({argument})"
    for statement in init.body.body:
        if module.source(statement).strip() == f"{names[0]}.get_response = {argument}":
            return Fix(f"Call {call}", (module.replace(statement, call),), safe=True)
    first = init.body.body[0]
    if is_docstring(first):
        edit = module.insert_after(first, f"\n{module.indent_of(first)}{call}")
        return Fix(f"Call {call}", (edit,), safe=True)
    edit = module.insert_before(first, f"{call}\n{module.indent_of(first)}")
    return Fix(f"Call {call}", (edit,), safe=True)
