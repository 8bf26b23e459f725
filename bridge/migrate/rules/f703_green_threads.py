"""gevent or eventlet.

A ``gevent.Timeout`` never fires on a worker thread, and the thread that it should free is lost:
without monkey patching, a blocking call does not return to gevent's hub, which runs the timer. A
greenlet that is spawned there does not run either, until something joins it. Replace these
functions before anything else: the timeout of the HTTP client or the database, a thread, a queue of
the standard library.

Monkey patching replaces threads, sockets and locks with greenlet versions in the whole process, and
the ASGI server runs in that process. Under gevent `bridge` uses real threads there and still works,
but asyncio code and libraries that start their own threads may get a patched lock, or a greenlet
that never runs; under eventlet it refuses. Under an ASGI server the patch gains nothing: code that
waited in a greenlet waits in a worker thread. Remove it once nothing needs it. gunicorn's gevent
worker patches by itself.

Before::

    from gevent import Timeout, monkey
    monkey.patch_all()

    with Timeout(5):
        rates = requests.get(URL)

After::

    rates = requests.get(URL, timeout=5)    # in a worker thread (bridge run --threads 40)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from bridge.migrate.findings import Finding, Severity, Source
from bridge.migrate.functions import is_test
from bridge.migrate.rule import Rule
from bridge.migrate.wsgi_servers import all_servers

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

_PATCHES = ("gevent.monkey.patch_", "eventlet.monkey_patch", "eventlet.patcher.monkey_patch")
_GREEN = ("gevent", "eventlet")
_SPAWNED = "does not run on a worker thread before something joins it"
_ONE_THREAD = "works within one thread only, and requests run on several"
_NEVER_FIRES = "never fires on a worker thread, which is then lost"
_EFFECTS = {
    **dict.fromkeys(
        (
            *("gevent.Timeout", "gevent.Timeout.start_new", "gevent.timeout.Timeout"),
            *("gevent.with_timeout", "gevent.timeout.with_timeout", "eventlet.with_timeout"),
            *("eventlet.Timeout", "eventlet.timeout.Timeout"),
        ),
        _NEVER_FIRES,
    ),
    **dict.fromkeys(
        (
            *("gevent.spawn", "gevent.spawn_later", "gevent.spawn_raw", "gevent.Greenlet.spawn"),
            *("gevent.pool.Pool", "gevent.pool.Group", "gevent.Greenlet", "eventlet.spawn"),
            *(
                "eventlet.spawn_n",
                "eventlet.spawn_after",
                "eventlet.GreenPool",
                "eventlet.GreenPile",
            ),
        ),
        _SPAWNED,
    ),
    **dict.fromkeys(
        (
            *("gevent.lock.Semaphore", "gevent.lock.BoundedSemaphore", "gevent.lock.RLock"),
            *("gevent.event.Event", "gevent.event.AsyncResult", "gevent.queue.Queue"),
            *("gevent.queue.JoinableQueue", "gevent.queue.Channel", "eventlet.queue.Queue"),
            *("eventlet.semaphore.Semaphore", "eventlet.event.Event"),
        ),
        _ONE_THREAD,
    ),
}
_INSTEAD = {
    _NEVER_FIRES: "use the timeout of what it waits for: the HTTP client, the database, the socket",
    _SPAWNED: "use a thread, a concurrent.futures.ThreadPoolExecutor or a task queue",
    _ONE_THREAD: "use threading or queue of the standard library",
}


class GreenThreads(Rule):
    """See the module's docstring."""

    code = "F703"
    name = "gevent-or-eventlet"
    summary = "gevent or eventlet: timeouts and greenlets that need its hub, patches, workers"
    native = Severity.WARNING
    bridge = Severity.WARNING
    sources = (Source.SOURCES, Source.DEPLOY)

    def check_project(self, project: Project) -> Iterator[Finding]:
        needed = list(_needed(project))
        patches = list(_patches(project))
        for module, call, name in needed:
            yield self._needs_hub(module, call, name, is_patched=bool(patches))
        first = _first(project, needed)
        for module, call in patches:
            yield self.at(
                module,
                call,
                f"{module.qualified(call)}() patches threads, sockets and locks in the whole "
                "process, including the ASGI server's event loop",
                f"{first}remove it where the project runs under an ASGI server: views run in "
                "worker threads there",
            )
        yield from self._workers(project, first)

    def _needs_hub(self, module: Module, call: cst.Call, name: str, *, is_patched: bool) -> Finding:
        effect = _EFFECTS[name]
        is_lost = effect is _NEVER_FIRES and not is_patched
        when = ", once the patch is removed" if is_patched and effect is not _ONE_THREAD else ""
        severity = Severity.ERROR if is_lost else Severity.WARNING
        message = f"{name} {effect}{when}"
        return self.at(module, call, message, _INSTEAD[effect], severity=(severity, severity))

    def _workers(self, project: Project, first: str) -> Iterator[Finding]:
        for server in all_servers(project):
            option = server.options.get("worker_class") or server.options.get("gevent")
            shown = str(option.value) if option is not None else ""
            if option is not None and (option.name == "gevent" or _is_green(shown)):
                yield self.at_place(
                    project,
                    option,
                    f"{option.shown} {shown} runs each request in a greenlet; under an ASGI server "
                    "each one holds a thread while it waits",
                    f"{first}count how many requests wait at once, and set bridge run --threads to "
                    "that",
                )


def _needed(project: Project) -> Iterator[tuple[Module, cst.Call, str]]:
    """The calls that need the hub of gevent or eventlet, the first of each function in a module."""
    for module in project.containing(*_GREEN):
        seen: set[str] = set()
        for call in module.nodes(cst.Call) if not is_test(module) else ():
            name = module.qualified(call) or ""
            if name in _EFFECTS and name not in seen:
                seen.add(name)
                yield module, call, name


def _patches(project: Project) -> Iterator[tuple[Module, cst.Call]]:
    for module in project.containing("monkey"):
        for call in module.nodes(cst.Call):
            if (module.qualified(call) or "").startswith(_PATCHES):
                yield module, call


def _first(project: Project, needed: list[tuple[Module, cst.Call, str]]) -> str:
    """The calls to replace before the patch or the worker class goes."""
    places = [
        f"{project.shown(module.path)}:{module.position(call)[0]} {name}"
        for module, call, name in needed
    ]
    more = f" and {len(places) - 3} more" if len(places) > 3 else ""
    return f"first replace what needs it ({', '.join(places[:3])}{more}); then " if places else ""


def _is_green(worker: str) -> bool:
    return any(name in worker.lower() for name in _GREEN)
