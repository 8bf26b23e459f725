"""``request.environ``.

Under ASGI it is an ``AttributeError``, and the view a 500: only requests of Django's WSGI handler
have it. ``request.META`` is the same dictionary under WSGI, and exists under ASGI too. With
`bridge`, sync views get WSGI requests; async views may not.

Before::

    address = request.environ["REMOTE_ADDR"]

After::

    address = request.META["REMOTE_ADDR"]
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from bridge.migrate.findings import Finding, Fix, Severity
from bridge.migrate.functions import coroutine_of, imports_any, is_request, is_test, text_around
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

_HASATTR = re.compile(r"""hasattr\(\s*[\w.]+\s*,\s*["']environ["']""")
_OTHER_FRAMEWORKS = ("flask", "werkzeug", "webob", "pyramid", "bottle", "quart")


class RequestEnviron(Rule):
    """See the module's docstring."""

    code = "V403"
    name = "request-environ"
    summary = "request.environ: an AttributeError under ASGI"
    native = Severity.ERROR
    bridge = None
    fix = "safe"
    triggers = (".environ",)

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        if is_test(module) or not imports_any(module, "django", "rest_framework"):
            return
        if imports_any(module, *_OTHER_FRAMEWORKS):
            return
        for node in module.nodes(cst.Attribute):
            if node.attr.value != "environ" or not is_request(module, node.value):
                continue
            if not _is_guarded(module, node):
                on_loop = coroutine_of(module, node) is not None
                yield self.at(
                    module,
                    node,
                    "this is an AttributeError, and a 500: requests under ASGI have no environ",
                    "use request.META, which is the same dictionary under WSGI",
                    fix=Fix("Use META", (module.replace(node.attr, "META"),), safe=True),
                    severity=(Severity.ERROR, Severity.ERROR) if on_loop else None,
                )


def _is_guarded(module: Module, node: cst.Attribute) -> bool:
    """Whether its function checks for the attribute first, or catches the AttributeError."""
    text = text_around(module, node)
    is_checked = _HASATTR.search(text) is not None
    return is_checked or any(
        name in text for name in ("AttributeError", "WSGIRequest", "ASGIRequest")
    )
