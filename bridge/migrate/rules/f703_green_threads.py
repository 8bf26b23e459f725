"""gevent or eventlet.

Monkey patching puts greenlets in place of threads, sockets and locks, for the whole process, and
the ASGI server is in it, too. `bridge` keeps to real threads and works all the same; asyncio code
and libraries that start threads of their own may find a patched lock, or another's running loop.
The patch gains nothing any more: what waited in a greenlet waits in a worker thread.

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
    summary = "gevent or eventlet, whose patches do not go with an event loop"
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
                    f"{name}() patches threads, sockets and locks for the whole process, the ASGI "
                    "server's event loop included",
                    "take it away where the project runs under an ASGI server: its views run in "
                    "worker threads there",
                )

    def check_project(self, project: Project) -> Iterator[Finding]:
        for asked in all_servers(project):
            option = asked.options.get("worker_class") or asked.options.get("gevent")
            shown = str(option.value) if option is not None else ""
            if option is not None and (option.name == "gevent" or _is_green(shown)):
                yield self.at_place(
                    project,
                    option,
                    f"{option.shown} {shown}: each request is a greenlet. Under an ASGI server it "
                    "holds a thread while it waits",
                    "count how many requests wait at once, and give bridge run --threads as many",
                )


def _is_green(worker: str) -> bool:
    return any(name in worker.lower() for name in _GREEN)
