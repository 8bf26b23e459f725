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

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from bridge.migrate.findings import Finding, Severity, Source
from bridge.migrate.rule import Rule
from bridge.migrate.static_maps import STATIC_MAPS, static_map
from bridge.migrate.wsgi_servers import all_servers

if TYPE_CHECKING:
    from bridge.migrate.deploy.server import Option
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

_TASKS = "a task queue: Celery, RQ, django-tasks"
_CRON = "cron, a systemd timer, or the task queue's scheduler"
_CACHE = "Redis or memcached, through the framework's cache"
_STATIC = "the same option of what serves these files then: index and expires of nginx"
_SUPERVISOR = "systemd, supervisor, or a container for each"
_PROXY = "nginx, or the app's own code"
_WORKERS = "a fixed number of workers (uvicorn --workers), and the platform's scaling"
_INSTEAD = {
    **dict.fromkeys(("spooler", "spooler-processes", "spooler-import"), _TASKS),
    **dict.fromkeys(("mule", "mules", "farm"), _TASKS),
    **dict.fromkeys(("cron", "unique-cron", "cron2", "legion-cron"), _CRON),
    **dict.fromkeys(("cache", "cache2", "caches", "sharedarea", "queue"), _CACHE),
    **dict.fromkeys(("static-index", "static-expires"), _STATIC),
    **dict.fromkeys(
        ("attach-daemon", "attach-daemon2", "smart-attach-daemon", "emperor", "vassals"),
        _SUPERVISOR,
    ),
    **dict.fromkeys(
        ("route", "route-host", "route-uri", "route-run", "subscribe-to", "fastrouter"), _PROXY
    ),
    **dict.fromkeys(
        ("cheaper", "cheaper-algo", "cheaper-initial", "cheaper-step", "cheaper-overload"), _WORKERS
    ),
    **dict.fromkeys(("touch-reload", "touch-chain-reload", "fs-reload"), "a restart by systemd"),
    **dict.fromkeys(
        ("gevent", "async", "ugreen", "asyncio", "gevent-monkey-patch"),
        "uvicorn's event loop, and threads for blocking code (F703)",
    ),
    **dict.fromkeys(
        ("http-websockets", "websockets-ping-freq"), "WebSockets of the ASGI server (F701)"
    ),
    **dict.fromkeys(("php-app", "cgi", "psgi"), "a server for that language"),
    **dict.fromkeys(
        ("rpc", "legion", "zerg", "zerg-server"), "another way to communicate between processes"
    ),
}
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
        for server in all_servers(project):
            for option in server.options.values() if server.program == "uwsgi" else ():
                if option.name in STATIC_MAPS:
                    yield from self._static(project, option)
                elif option.name in _INSTEAD:
                    yield self.at_place(
                        project,
                        option,
                        f"{option.shown} works only in uwsgi",
                        f"use {_INSTEAD[option.name]}",
                    )

    def _static(self, project: Project, option: Option) -> Iterator[Finding]:
        values = option.value if isinstance(option.value, list) else [option.value]
        for value in values:
            found = static_map(project, option.name, str(value))
            severity = (Severity.INFO, Severity.INFO) if found.is_served else None
            yield self.at_place(
                project,
                option,
                f"{option.shown} works only in uwsgi: {found.effect}",
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


def _imported(module: Module, node: cst.Import | cst.ImportFrom) -> str | None:
    if isinstance(node, cst.Import):
        names = [alias.evaluated_name for alias in node.names]
        return next((name for name in names if name in _MODULES), None)
    if node.relative or node.module is None:
        return None
    return module.source(node.module)


def _is_in_try(module: Module, node: cst.CSTNode) -> bool:
    return module.enclosing(node, cst.Try) is not None
