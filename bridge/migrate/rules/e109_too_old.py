"""A Python or Django that bridge does not support.

``pip install wsgi-asgi-bridge`` fails, or ``asgi.py`` cannot import it. `bridge` runs in the
project's own environment, on Python 3.11 or newer, and its Django application on Django 4.2 or
newer. ``bridge migrate`` itself runs anywhere: it checks projects of Python 3.8 and newer.

Before::

    FROM python:3.10

After::

    FROM python:3.13
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bridge.migrate.findings import Finding, Severity, Source
from bridge.migrate.rule import Rule
from bridge.migrate.versions import too_old

if TYPE_CHECKING:
    from bridge.migrate.project import Project


class TooOld(Rule):
    """See the module's docstring."""

    code = "E109"
    name = "version-too-old"
    summary = "a Python or Django that bridge does not support"
    native = None
    bridge = Severity.ERROR
    sources = (Source.RUNTIME,)

    def check_project(self, project: Project) -> Iterator[Finding]:
        for name, version, least in too_old(project):
            yield self.at_line(
                project.base,
                0,
                f"bridge cannot be installed: the project runs on {name} {version}, and bridge "
                f"needs {least} or newer",
                f"move the project to a newer {name} first",
                source=Source.RUNTIME,
            )
