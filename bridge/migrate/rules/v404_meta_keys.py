"""Keys of ``request.META`` that Django does not set under ASGI.

There ``META["REQUEST_URI"]`` is a ``KeyError``, and ``META.get("REMOTE_USER")`` is always None.
META holds only the method, path, query string, addresses and headers: no ``REMOTE_USER``,
``REQUEST_URI``, ``SERVER_PROTOCOL`` or ``wsgi.input``, and nothing that Apache or uWSGI add. With
`bridge`, requests to sync views have the keys of PEP 3333, ``REQUEST_URI`` and ``RAW_URI``; keys
that only a web server sets are missing there too.

Before::

    uri = request.META["REQUEST_URI"]

After::

    uri = request.get_full_path()
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from bridge.migrate.findings import Finding, Severity
from bridge.migrate.functions import coroutine_of, is_test, text_around
from bridge.migrate.key_reads import KeyRead, key_reads
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

_PEP_3333 = {
    "REQUEST_URI": "use request.get_full_path()",
    "RAW_URI": "use request.get_full_path()",
    "SERVER_PROTOCOL": 'use request.scope["http_version"] under ASGI',
    "SERVER_SOFTWARE": "do without it: ASGI does not provide it",
    "HTTPS": "use request.is_secure()",
    "wsgi.url_scheme": "use request.scheme",
    "wsgi.input": "use request.read() or request.body",
    "wsgi.errors": "use logging",
    "wsgi.file_wrapper": "use FileResponse",
    "wsgi.version": "do without it under ASGI",
    "wsgi.run_once": "do without it under ASGI",
}
"""Keys that `bridge` sets for sync views, and what to use instead."""
_WEB_SERVER = {
    "REMOTE_USER": "see RemoteUserMiddleware (M206), or have the proxy send a header",
    "AUTH_TYPE": "read request.headers['Authorization']",
    "REMOTE_IDENT": "do without it",
    "DOCUMENT_ROOT": "use a setting",
    "GATEWAY_INTERFACE": "do without it",
    "SCRIPT_FILENAME": "use a setting",
    "SCRIPT_URI": "use request.build_absolute_uri()",
    "SCRIPT_URL": "use request.path",
    "REQUEST_SCHEME": "use request.scheme",
    "SERVER_ADDR": "use SERVER_NAME, or a setting",
    "SERVER_ADMIN": "use a setting",
}
"""Keys that only CGI and web servers set, and what to use instead."""
_PREFIXES = ("SSL_", "mod_wsgi.", "uwsgi.", "gunicorn.", "werkzeug.", "paste.", "REDIRECT_")


class MetaKeys(Rule):
    """See the module's docstring."""

    code = "V404"
    name = "meta-key-not-in-asgi"
    summary = "a key of request.META that is not set under ASGI"
    native = Severity.ERROR
    bridge = Severity.WARNING
    triggers = ("META",)

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        if is_test(module):
            return
        for read in key_reads(module):
            if not _is_meta(read.mapping) or not _is_missing(read.key):
                continue
            if read.method == "pop" or _is_updated(module, read.node):
                continue
            yield self._finding(module, read)

    def _finding(self, module: Module, read: KeyRead) -> Finding:
        name, node = read.key, read.node
        is_guarded = bool(read.method) or _is_guarded(module, node, name)
        effect = "this finds nothing" if is_guarded else "this is a KeyError"
        native = Severity.WARNING if is_guarded else Severity.ERROR
        return self.at(
            module,
            node,
            f"{effect} under ASGI: META has no {name} there",
            _PEP_3333.get(name) or _WEB_SERVER.get(name, "have the proxy send it as a header"),
            severity=(native, _through_bridge(module, node, name, native)),
        )


def _is_meta(node: cst.BaseExpression) -> bool:
    return isinstance(node, cst.Attribute) and node.attr.value == "META"


def _is_missing(name: str) -> bool:
    return name in _PEP_3333 or name in _WEB_SERVER or name.startswith(_PREFIXES)


def _through_bridge(
    module: Module, node: cst.CSTNode, name: str, native: Severity
) -> Severity | None:
    """The severity with `bridge`: async views may get requests of Django's own ASGI handler."""
    if name not in _PEP_3333:
        return Severity.WARNING
    return native if coroutine_of(module, node) is not None else None


def _is_updated(module: Module, node: cst.CSTNode) -> bool:
    """Whether it is ``META[key] += value``, or an assignment with an annotation."""
    above = module.parent(node)
    return isinstance(above, cst.AugAssign | cst.AnnAssign) and above.target is node


def _is_guarded(module: Module, node: cst.CSTNode, name: str) -> bool:
    """Whether its function checks for the key first, or catches the KeyError."""
    text = text_around(module, node)
    is_checked = any(f"{quote}{name}{quote} in " in text for quote in "'\"")
    return is_checked or "KeyError" in text
