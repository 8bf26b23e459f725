"""``threading.local()``.

Async views of different requests see each other's values, because they share the event loop's
thread. Values of a sync view are not visible to async code that it calls, nor the other way round.
Worker threads are reused: the next request on a thread sees what the last one left there, as under
WSGI. ``asgiref.local.Local`` follows the context of the request instead, in threads and on the
loop.

Where the values belong to the thread and not to a request, such as a client that must not be shared
between threads, ``threading.local()`` is right: suppress the finding there.

Before::

    import threading

    _state = threading.local()

After::

    from asgiref.local import Local

    _state = Local()
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from bridge.migrate.advice import has_async_code
from bridge.migrate.findings import Finding, Fix, Severity, Target
from bridge.migrate.functions import is_test
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

_LOCAL = "threading.local"


class ThreadLocal(Rule):
    """See the module's docstring."""

    code = "V406"
    name = "thread-local"
    summary = "threading.local: shared by all requests on the event loop"
    native = Severity.WARNING
    bridge = Severity.WARNING
    fix = "unsafe"
    triggers = ("threading",)

    def is_detail(self, finding: Finding, project: Project) -> bool:
        return project.target is Target.BRIDGE and not has_async_code(project)

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        if is_test(module) or "asgiref.local" in module.text:
            return
        for call in module.nodes(cst.Call):
            if module.qualified(call) == _LOCAL and not call.args:
                yield self._finding(module, call, call.func)
        for cls in module.classes():
            for base in cls.bases:
                if module.qualified(base.value) == _LOCAL:
                    yield self._finding(module, base.value, base.value)

    def _finding(self, module: Module, node: cst.CSTNode, name: cst.BaseExpression) -> Finding:
        edits = (module.replace(name, "Local"), *module.add_import(_IMPORT))
        is_free = not any(each.value == "Local" for each in module.nodes(cst.Name))
        return self.at(
            module,
            node,
            "async views of different requests share these values, because they share one thread",
            "use asgiref.local.Local for values that belong to a request",
            fix=Fix("Use asgiref's Local", edits, safe=False) if is_free else None,
        )


_IMPORT = "from asgiref.local import Local"
