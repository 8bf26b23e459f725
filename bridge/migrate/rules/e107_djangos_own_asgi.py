"""A project that is to move to `bridge` still makes Django's own ASGI application.

`bridge` does not run in such a project: ``startproject`` writes an ``asgi.py`` with Django's
handler, and an ASGI server runs the handler that it imports. The severities for `bridge` do not
apply yet, so until this is fixed every finding is at least as severe as it is natively.

Before::

    from django.core.asgi import get_asgi_application

After::

    from bridge.contrib.django import get_asgi_application

The fix also adds `bridge` to the requirements. It is unsafe where the project names
``ASGIRequest``: with `bridge`, sync views get a ``WSGIRequest``, as under WSGI.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bridge.migrate.capacity import planned_threads
from bridge.migrate.entry_points import djangos_own_asgi
from bridge.migrate.findings import Finding, Fix, Severity, Target
from bridge.migrate.rule import Rule
from bridge.migrate.web_app import bridge_requirement, through_bridge, with_threads

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project


class DjangosOwnAsgi(Rule):
    """See the module's docstring."""

    code = "E107"
    name = "djangos-own-asgi"
    summary = "the project is to move to bridge, but its ASGI application is still Django's own"
    native = None
    bridge = Severity.ERROR
    fix = "safe"

    def check_project(self, project: Project) -> Iterator[Finding]:
        if project.target is not Target.BRIDGE:
            return
        for module, call in djangos_own_asgi(project):
            yield self.at(
                module,
                call,
                "the application is Django's own ASGI handler, not that of bridge, so all findings "
                "are at least as severe as for the target native",
                "import get_asgi_application from bridge.contrib.django",
                fix=_fix(project, module),
            )


def _fix(project: Project, module: Module) -> Fix | None:
    edits = through_bridge(module)
    if not edits:
        return None
    is_safe = next(project.containing("ASGIRequest"), None) is None
    edits += (*bridge_requirement(project), *with_threads(module, planned_threads(project)))
    return Fix("Import get_asgi_application from bridge", edits, safe=is_safe)
