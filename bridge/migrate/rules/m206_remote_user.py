"""``RemoteUserMiddleware`` under ASGI.

Since Django 5.2 any client can log in as any user, unless the proxy in front removes the request
header ``Remote-User``. Under WSGI the middleware trusts ``REMOTE_USER``, which only the web server
can set. ASGI has no such variable, so the middleware reads the header instead. Before Django 5.2 it
finds nothing under ASGI, and logs nobody in.

With `bridge`, requests to sync views have the ``environ`` of WSGI: ``REMOTE_USER`` comes from a
trusted source that you name, and never from a header. Django's own ASGI handler serves requests to
async views, so remove the header at the proxy in any case.

Before::

    MIDDLEWARE = [
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.auth.middleware.RemoteUserMiddleware",
    ]

After::

    # nginx: set it on every request, so that no client can
    proxy_set_header Remote-User $remote_user;
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from bridge.migrate.advice import has_async_code
from bridge.migrate.classes import attribute, derives_from
from bridge.migrate.findings import Finding, Severity, Source
from bridge.migrate.middleware import Entry, entries
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

_NAMES = ("RemoteUserMiddleware", "PersistentRemoteUserMiddleware")
_CLASSES = tuple(f"django.contrib.auth.middleware.{name}" for name in _NAMES)
_HELP = "have the proxy set or remove Remote-User on every request, before any other change"


class RemoteUser(Rule):
    """See the module's docstring."""

    code = "M206"
    name = "remote-user-from-a-header"
    summary = "RemoteUserMiddleware: under ASGI a client can log in by sending a header"
    native = Severity.CRITICAL
    bridge = Severity.INFO
    sources = (Source.RUNTIME, Source.SOURCES)

    def is_detail(self, finding: Finding, project: Project) -> bool:
        is_safe = finding.severity(project.target) is Severity.INFO
        return is_safe and not has_async_code(project)

    def check_project(self, project: Project) -> Iterator[Finding]:
        for entry in entries(project):
            if entry.setting is None or not _is_remote_user(project, entry):
                continue
            module, node = entry.setting
            if project.facts is None or entry.fact.trusts_header:
                yield self.at(
                    module,
                    node,
                    "under ASGI a client can log in as any user: "
                    f"{entry.fact.path} trusts a request header, by default Remote-User",
                    _HELP,
                    source=entry.source,
                )
            else:
                yield self._no_user(module, node, entry, project)

    def _no_user(
        self, module: Module, node: cst.CSTNode, entry: Entry, project: Project
    ) -> Finding:
        version = project.facts.django if project.facts else ""
        return self.at(
            module,
            node,
            f"under ASGI nobody is logged in by {entry.fact.path}: Django {version} finds no "
            "REMOTE_USER there",
            "use bridge, and name the trusted source of REMOTE_USER",
            source=entry.source,
            severity=(Severity.ERROR, Severity.INFO),
        )


def _is_remote_user(project: Project, entry: Entry) -> bool:
    """Whether it is one that reads REMOTE_USER, not a header of the subclass's choice."""
    if entry.fact.path in _CLASSES or entry.fact.trusts_header:
        return True
    if entry.code is None or not isinstance(entry.code[1], cst.ClassDef):
        return False
    module, node = entry.code[0], entry.code[1]
    if not derives_from(project, module, node, *_CLASSES):
        return False
    return attribute(project, module, node, "header", "REMOTE_USER") == "REMOTE_USER"
