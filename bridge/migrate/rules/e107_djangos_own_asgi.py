"""A project that is to move through `bridge`, and still makes Django's own ASGI application.

``startproject`` writes an ``asgi.py`` with Django's handler in it. An ASGI server that is given
that one never runs `bridge`: all that is said about a project through `bridge` is not true of it
yet. So as long as this is found, every finding is at least as bad as it is natively.

Before::

    from django.core.asgi import get_asgi_application

After::

    from bridge.contrib.django import get_asgi_application

The fix puts `bridge` onto the list of packages, too. It is unsafe where the project names
``ASGIRequest``: through `bridge` sync views get a ``WSGIRequest``, as under WSGI.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bridge.migrate.entry_points import djangos_own_asgi
from bridge.migrate.findings import Finding, Fix, Severity, Target
from bridge.migrate.rule import Rule
from bridge.migrate.web_app import bridge_requirement, through_bridge

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project


class DjangosOwnAsgi(Rule):
    """See the module's docstring."""

    code = "E107"
    name = "djangos-own-asgi"
    summary = "the ASGI application is still Django's own, and the project is to move to bridge"
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
                "this is Django's own ASGI handler: a server that is given it does not run bridge, "
                "and what is found is as bad as it is natively",
                "import get_asgi_application from bridge.contrib.django",
                fix=_fix(project, module),
            )


def _fix(project: Project, module: Module) -> Fix | None:
    edits = through_bridge(module)
    if not edits:
        return None
    is_safe = next(project.containing("ASGIRequest"), None) is None
    edits += bridge_requirement(project)
    return Fix("Make the application of bridge", edits, safe=is_safe)
