"""uwsgi features besides serving: spoolers, cron, mules, caches, static files and more.

No other server has them. Code that imports ``uwsgi`` or ``uwsgidecorators`` fails at import there,
because these modules exist only inside uwsgi.

Before::

    [uwsgi]
    module = mysite.wsgi
    spooler = /var/spool/mysite
    static-map = /static=/srv/static

After::

    # tasks: Celery, django-q or Django's own; static files: nginx or WhiteNoise; uploads: nginx,
    # or StaticFiles of Starlette, mounted in a bridge.Router
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import libcst as cst

from bridge.migrate.findings import Finding, Severity, Source
from bridge.migrate.inventory import Item, inventory_of
from bridge.migrate.lost_options import (
    grouped,
    is_extra,
    lines_of,
    lost_items,
    lost_severity,
    named,
    text_of,
)
from bridge.migrate.rule import Rule
from bridge.migrate.static_maps import STATIC_MAPS, static_map

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

_MODULES = ("uwsgi", "uwsgidecorators")


class UwsgiExtras(Rule):
    """See the module's docstring."""

    code = "X504"
    name = "uwsgi-extras"
    summary = "uwsgi's spooler, cron, mules, caches, static files: no other server has them"
    native = Severity.ERROR
    bridge = Severity.ERROR
    sources = (Source.DEPLOY, Source.SOURCES)
    triggers = ("uwsgi",)

    def is_detail(self, finding: Finding, project: Project) -> bool:
        return finding.severity(project.target) is Severity.INFO

    def check_project(self, project: Project) -> Iterator[Finding]:
        items = [item for item in lost_items(project) if is_extra(item)]
        for group in grouped(items):
            option = group[0].option
            if option.name in STATIC_MAPS:
                yield from self._static(project, group)
            else:
                yield self.at_place(
                    project,
                    option,
                    f"{named(group)} only in uwsgi: {group[0].row.why}",
                    group[0].row.instead,
                    severity=lost_severity(project, group[0]),
                )

    def _static(self, project: Project, group: Sequence[Item]) -> Iterator[Finding]:
        values = [text_of(item.option) for item in group]
        option = group[0].option
        found = static_map(project, option.name, values, _start_folder(project))
        severity = lost_severity(project, group[0])
        severity = (Severity.INFO, Severity.INFO) if found.is_served else severity
        yield self.at_place(
            project,
            option,
            f"{option.shown}{lines_of(group)} works only in uwsgi: {found.effect}",
            f"use {found.instead}" if not found.is_served else found.instead,
            severity=severity,
        )

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        imports: list[cst.Import | cst.ImportFrom] = [
            *module.nodes(cst.Import),
            *module.nodes(cst.ImportFrom),
        ]
        for node in imports:
            name = _imported(module, node)
            if name in _MODULES and not _is_in_try(module, node):
                yield self.at(
                    module,
                    node,
                    f"this import fails on other servers: the module {name} exists only in uwsgi",
                    "import it in try/except ImportError, and do without it on other servers",
                )


def _start_folder(project: Project) -> str:
    """The folder that the server starts in; empty if no file says that."""
    names = ("chdir", "WORKDIR", "WorkingDirectory", "working_dir", "directory", "workingDir")
    found = [
        item.option.default
        for item in inventory_of(project).items
        if item.option.name in names and item.option.applies is not False
    ]
    folders = {each.rstrip("/") for each in found if isinstance(each, str) and each[:1] == "/"}
    return folders.pop() if len(folders) == 1 else ""


def _imported(module: Module, node: cst.Import | cst.ImportFrom) -> str | None:
    if isinstance(node, cst.Import):
        names = [alias.evaluated_name for alias in node.names]
        return next((name for name in names if name in _MODULES), None)
    if node.relative or node.module is None:
        return None
    return module.source(node.module)


def _is_in_try(module: Module, node: cst.CSTNode) -> bool:
    return module.enclosing(node, cst.Try) is not None
