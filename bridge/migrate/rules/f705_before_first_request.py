"""``before_first_request``, which Flask 2.3 has removed.

Where it still exists, it runs while the first request waits; with several worker threads the
others that come in meanwhile wait as well, or, in old versions, run before it is done. The fix runs
the function once, at import, in the app's context: at the end of the module, where all that it uses
is defined. Unsafe: it is earlier then, and there is no request.

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
    summary = "before_first_request: removed from Flask 2.3, and a race with threads before"
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
                    f"{node.attr.value} is gone from Flask 2.3; before, threads of the server "
                    "could run requests while it was not done",
                    "do it at import, in app.app_context()",
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
    edits = (module.delete_lines(line, line), _at_the_end(module, function, app, call))
    return Fix("Call it at import", edits, safe=False)


def _at_the_end(module: Module, function: cst.FunctionDef, app: str, text: str) -> Edit:
    """In front of what starts the app, if the module does so itself."""
    for statement in module.tree.body:
        is_behind = module.position(statement) > module.position(function)
        if is_behind and _is_start(module, statement, app):
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
