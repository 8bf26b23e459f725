"""``before_first_request``, which Flask 2.3 has removed.

Where it still exists, it runs while the first request waits. With several worker threads, the
requests that arrive meanwhile wait too or, in old versions, run before it is done. The fix runs the
function once at import, in the app context, at the end of the module, where everything that it uses
is defined. It is unsafe: the function then runs earlier, and there is no request.

Before::

    @app.before_first_request
    def fill_cache():
        ...

After::

    def fill_cache():
        ...


    with app.app_context():
        fill_cache()
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from bridge.migrate.findings import Edit, Finding, Fix, Severity
from bridge.migrate.functions import imports_any
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

_NAMES = ("before_first_request", "before_app_first_request")


class BeforeFirstRequest(Rule):
    """See the module's docstring."""

    code = "F705"
    name = "before-first-request"
    summary = "before_first_request: removed in Flask 2.3, a race between threads before that"
    native = Severity.ERROR
    bridge = Severity.ERROR
    fix = "unsafe"
    triggers = _NAMES

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        if not imports_any(module, "flask"):
            return
        for node in module.nodes(cst.Attribute):
            if node.attr.value in _NAMES:
                yield self.at(
                    module,
                    node,
                    f"Flask 2.3 has removed {node.attr.value}; in earlier versions other threads "
                    "may serve requests before it is done",
                    "run the function at import, in app.app_context()",
                    fix=_fix(module, node),
                )


def _fix(module: Module, node: cst.Attribute) -> Fix | None:
    decorator = module.parent(node)
    function = module.parent(decorator) if decorator is not None else None
    if not isinstance(decorator, cst.Decorator) or not isinstance(function, cst.FunctionDef):
        return None
    is_plain = isinstance(node.value, cst.Name) and node.attr.value == _NAMES[0]
    if not is_plain or not _is_simple(module, function):
        return None
    line, _ = module.position(decorator)
    app = module.source(node.value)
    call = f"with {app}.app_context():\n    {function.name.value}()\n"
    edits = (module.delete_lines(line, line), _append(module, function, app, call))
    return Fix("Call the function at import", edits, safe=False)


def _append(module: Module, function: cst.FunctionDef, app: str, text: str) -> Edit:
    """At the end of the module, but before a statement that starts the app."""
    for statement in module.tree.body:
        is_after = module.position(statement) > module.position(function)
        if is_after and _is_start(module, statement, app):
            return module.insert_line(module.position(statement)[0], f"{text}\n\n")
    start = "" if module.text.endswith("\n") else "\n"
    end = len(module.text)
    return Edit(module.path, end, end, f"{start}\n\n{text}")


def _is_start(module: Module, statement: cst.CSTNode, app: str) -> bool:
    match statement:
        case cst.If(test=test):
            return "__name__" in module.source(test)
        case cst.SimpleStatementLine(body=[cst.Expr(value=cst.Call(func=called)), *_]):
            return module.source(called) == f"{app}.run"
    return False


def _is_simple(module: Module, function: cst.FunctionDef) -> bool:
    parameters = function.params
    takes_none = not (parameters.params or parameters.kwonly_params or parameters.posonly_params)
    is_top = module.enclosing(function, cst.FunctionDef, cst.ClassDef) is None
    return takes_none and is_top and len(function.decorators) == 1 and not function.asynchronous
