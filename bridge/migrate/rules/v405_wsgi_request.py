"""``isinstance(request, WSGIRequest)``.

The test is always false under ASGI, and the code that depends on it is silently skipped: a request
is an ``ASGIRequest`` there. ``HttpRequest`` is the base class of both.

Before::

    from django.core.handlers.wsgi import WSGIRequest

    if isinstance(request, WSGIRequest):
        log(request)

After::

    from django.http import HttpRequest

    if isinstance(request, HttpRequest):
        log(request)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from bridge.migrate.findings import Edit, Finding, Fix, Severity
from bridge.migrate.functions import coroutine_of
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

_WSGI = "django.core.handlers.wsgi.WSGIRequest"
_IMPORT = "from django.http import HttpRequest"


class WsgiRequest(Rule):
    """See the module's docstring."""

    code = "V405"
    name = "isinstance-wsgi-request"
    summary = "isinstance(..., WSGIRequest): false for every request under ASGI"
    native = Severity.WARNING
    bridge = None
    fix = "safe"
    triggers = ("WSGIRequest",)

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        if "ASGIRequest" in module.text:
            return  # it handles both
        for call in module.nodes(cst.Call):
            named = _tested(module, call)
            if named is not None:
                on_loop = coroutine_of(module, call) is not None
                yield self.at(
                    module,
                    call,
                    "this is always false under ASGI, where a request is an ASGIRequest",
                    "test for django.http.HttpRequest",
                    fix=_fix(module, named),
                    severity=(Severity.WARNING, Severity.WARNING) if on_loop else None,
                )


def _tested(module: Module, call: cst.Call) -> cst.BaseExpression | None:
    """The name of the class in ``isinstance(x, WSGIRequest)``, alone or in a tuple."""
    if not (isinstance(call.func, cst.Name) and call.func.value == "isinstance"):
        return None
    if len(call.args) != 2:
        return None
    second = call.args[1].value
    items = [each.value for each in second.elements] if isinstance(second, cst.Tuple) else [second]
    if any(module.qualified(each) == "django.http.HttpRequest" for each in items):
        return None
    return next((each for each in items if module.qualified(each) == _WSGI), None)


def _fix(module: Module, named: cst.BaseExpression) -> Fix:
    edits = (module.replace(named, "HttpRequest"), *_imports(module, named))
    return Fix("Test for HttpRequest", edits, safe=True)


def _imports(module: Module, named: cst.BaseExpression) -> tuple[Edit, ...]:
    """Import HttpRequest, in place of WSGIRequest where that has no other use."""
    if module.imports.get("HttpRequest") == "django.http.HttpRequest":
        return ()
    uses = [each for each in module.nodes(cst.Name) if each.value == "WSGIRequest"]
    for node in module.nodes(cst.ImportFrom):
        plain = isinstance(node.names, tuple | list) and len(node.names) == 1
        if plain and module.source(node).endswith("import WSGIRequest") and len(uses) == 2:
            return (module.replace(node, _IMPORT),)
    return module.add_import(_IMPORT)
