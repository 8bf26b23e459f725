"""gevent or eventlet.

Monkey patching replaces threads, sockets and locks with greenlet versions in the whole process, and
the ASGI server runs in that process. Under gevent `bridge` uses real threads there and still works,
but asyncio code and libraries that start their own threads may get a patched lock, or a greenlet
that never runs; under eventlet it refuses. Under an ASGI server the patch gains nothing: code that
waited in a greenlet waits in a worker thread. Remove it there.

Before::

    from gevent import monkey
    monkey.patch_all()

After::

    # nothing: sync views run in worker threads (bridge run --threads 40)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from bridge.migrate.findings import Finding, Severity, Source
from bridge.migrate.rule import Rule
from bridge.migrate.wsgi_servers import all_servers

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

_PATCHES = ("gevent.monkey.patch_", "eventlet.monkey_patch", "eventlet.patcher.monkey_patch")
_GREEN = ("gevent", "eventlet")


class GreenThreads(Rule):
    """See the module's docstring."""

    code = "F703"
    name = "gevent-or-eventlet"
    summary = "gevent or eventlet: their patches conflict with an event loop"
    native = Severity.WARNING
    bridge = Severity.WARNING
    sources = (Source.SOURCES, Source.DEPLOY)
    triggers = ("monkey",)

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        for call in module.nodes(cst.Call):
            name = module.qualified(call) or ""
            if name.startswith(_PATCHES):
                yield self.at(
                    module,
                    call,
                    f"{name}() patches threads, sockets and locks in the whole process, including "
                    "the ASGI server's event loop",
                    "remove it where the project runs under an ASGI server: views run in worker "
                    "threads there",
                )

    def check_project(self, project: Project) -> Iterator[Finding]:
        for server in all_servers(project):
            option = server.options.get("worker_class") or server.options.get("gevent")
            shown = str(option.value) if option is not None else ""
            if option is not None and (option.name == "gevent" or _is_green(shown)):
                yield self.at_place(
                    project,
                    option,
                    f"{option.shown} {shown} runs each request in a greenlet; under an ASGI server "
                    "each one holds a thread while it waits",
                    "count how many requests wait at once, and set bridge run --threads to that",
                )


def _is_green(worker: str) -> bool:
    return any(name in worker.lower() for name in _GREEN)
