"""Keys of the environ that only one WSGI server sets.

Under an ASGI server ``environ["gunicorn.socket"]`` is a KeyError. PEP 3333 names the keys that
every server sets; `bridge` sets these and, as gunicorn does, ``RAW_URI``, ``REQUEST_URI`` and
``REMOTE_PORT``. The server's socket, its worker or its shutdown function exist only where that
server runs.

Before::

    sock = request.environ["gunicorn.socket"]

After::

    scope = request.environ["asgi.scope"]       # the request as the ASGI server describes it
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bridge.migrate.findings import Finding, Severity
from bridge.migrate.key_reads import key_reads
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
        for read in key_reads(module):
            name = module.qualified(read.mapping) or ""
            if not _is_request_environ(name) or not _is_missing(read.key):
                continue
            severity = Severity.WARNING if read.method else Severity.ERROR
            yield self.at(
                module,
                read.node,
                f"environ[{read.key!r}] is "
                + ("never set" if read.method else "a KeyError")
                + " under an ASGI server: only one WSGI server sets it",
                'do without it, or read environ["asgi.scope"]',
                severity=(severity, severity),
            )


def _is_request_environ(name: str) -> bool:
    return name == "environ" or name.endswith(("request.environ", "self.environ"))


def _is_missing(key: str) -> bool:
    return key.startswith(_PREFIXES) or key in _SERVERS or key in _CGI
