"""``before_first_request``, which Flask 2.3 has removed.

Where it still exists, it runs while the first request waits; with several worker threads the
others that come in meanwhile wait as well, or, in old versions, run before it is done. The fix runs
the function once, at import, in the app's context. Unsafe: it is earlier then, and there is no
request.

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

from bridge.migrate.findings import Finding, Fix, Severity
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
        if not any(name.partition(".")[0] == "flask" for name in module.imports.values()):
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
    call = f"\n\nwith {app}.app_context():\n    {function.name.value}()\n"
    after = module.line_of(module.span(function)[1]) + 1
    start = "" if module.text.endswith("\n") else "\n"
    edits = (module.delete_lines(line, line), module.insert_line(after, start + call))
    return Fix("Call it at import", edits, safe=False)


def _is_simple(module: Module, function: cst.FunctionDef) -> bool:
    parameters = function.params
    takes_none = not (parameters.params or parameters.kwonly_params or parameters.posonly_params)
    is_top = module.enclosing(function, cst.FunctionDef, cst.ClassDef) is None
    return takes_none and is_top and len(function.decorators) == 1 and not function.asynchronous
