"""Keys of the environ that only one WSGI server sets.

PEP 3333 names the keys that every server has; `bridge` sets these and, as gunicorn does,
``RAW_URI``, ``REQUEST_URI`` and ``REMOTE_PORT``. The server's socket, its worker or its shutdown
function exist only where that server runs: there is no such thing under an ASGI server.

Before::

    sock = request.environ["gunicorn.socket"]

After::

    scope = request.environ["asgi.scope"]       # what the ASGI server told about the request
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from bridge.migrate.findings import Finding, Severity
from bridge.migrate.literals import evaluate
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

_PREFIXES = ("gunicorn.", "uwsgi.", "mod_wsgi.", "eventlet.", "gevent.", "waitress.")
_SERVERS = ("werkzeug.socket", "werkzeug.server.shutdown", "wsgi.websocket", "wsgi.early_hints")
_CGI = ("GATEWAY_INTERFACE", "DOCUMENT_ROOT", "SERVER_ADMIN", "SCRIPT_FILENAME", "REMOTE_IDENT")


class EnvironKeys(Rule):
    """See the module's docstring."""

    code = "F709"
    name = "environ-keys"
    summary = "environ keys that only one WSGI server sets"
    native = Severity.ERROR
    bridge = Severity.ERROR
    triggers = ("environ",)

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        for node, mapping, key, has_default in _reads(module):
            name = module.qualified(mapping) or ""
            if not _is_request_environ(name) or not _is_missing(key):
                continue
            severity = Severity.WARNING if has_default else Severity.ERROR
            yield self.at(
                module,
                node,
                f"environ[{key!r}] is set by one WSGI server only: under an ASGI server it is "
                + ("never there" if has_default else "a KeyError"),
                'do without, or look into environ["asgi.scope"]',
                severity=(severity, severity),
            )


def _reads(
    module: Module,
) -> Iterator[tuple[cst.CSTNode, cst.BaseExpression, str, bool]]:
    """Each ``x[key]``, ``x.get(key)`` and ``x.pop(key)`` with a string for a key."""
    for node in module.nodes(cst.Subscript):
        match node.slice:
            case [cst.SubscriptElement(slice=cst.Index(value=value))]:
                key = evaluate(value)
                if isinstance(key, str) and not _is_written(module, node):
                    yield node, node.value, key, False
            case _:
                pass
    for call in module.nodes(cst.Call):
        match call:
            case cst.Call(
                func=cst.Attribute(value=mapping, attr=cst.Name(value="get" | "pop")),
                args=[cst.Arg(value=value), *_],
            ):
                key = evaluate(value)
                if isinstance(key, str):
                    yield call, mapping, key, True
            case _:
                pass


def _is_written(module: Module, node: cst.Subscript) -> bool:
    return isinstance(module.parent(node), cst.AssignTarget | cst.Del)


def _is_request_environ(name: str) -> bool:
    return name == "environ" or name.endswith(("request.environ", "self.environ"))


def _is_missing(key: str) -> bool:
    return key.startswith(_PREFIXES) or key in _SERVERS or key in _CGI
