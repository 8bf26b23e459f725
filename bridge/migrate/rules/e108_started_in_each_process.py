"""A thread, a scheduler, a process or a signal handler that is started with the app.

With four processes a job of the scheduler runs four times, and a signal reaches no worker. What a
module starts when it is imported, an app factory, or ``AppConfig.ready()``, starts once in each
process of the server. ``preload_app`` of gunicorn hides that: its master imports the app once, and
threads do not survive its forks. uvicorn imports the app in each process, and with ``--reload``
again after each change. uvicorn's supervisor, the process that systemd or a person sends signals
to, passes none on but those that end the workers, and for these the server has handlers of its own.

The finding is reported where the plan has more than one process.

Before::

    class Shop(AppConfig):
        def ready(self):
            scheduler.add_job(send_reminders, "interval", minutes=5)
            scheduler.start()

After::

    # a management command, under a supervisor of its own: exactly one process
    class Command(BaseCommand):
        def handle(self, *args, **options):
            scheduler = BlockingScheduler()
            scheduler.add_job(send_reminders, "interval", minutes=5)
            scheduler.start()
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bridge.migrate.capacity import capacity_after, capacity_now
from bridge.migrate.findings import Finding, Severity
from bridge.migrate.rule import Rule
from bridge.migrate.start_up import Started, started_in_each_process
from bridge.migrate.wsgi_servers import all_servers

if TYPE_CHECKING:
    from bridge.migrate.project import Project

_JOBS = (
    "start it in a process of its own: a management command or script under the supervisor, or the "
    "task queue's scheduler; or let the first process that gets a lock start it"
)
_ENDING = ("SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP")
_SHUTDOWN = "do it at shutdown instead: in the lifespan, or with atexit"
_SIGNALS = "send the signal to every worker, or use a file, the database or a queue instead"


class StartedInEachProcess(Rule):
    """See the module's docstring."""

    code = "E108"
    name = "started-in-each-process"
    summary = "a thread, scheduler or signal handler that starts once in each process"
    native = Severity.WARNING
    bridge = Severity.WARNING

    def check_project(self, project: Project) -> Iterator[Finding]:
        processes = _processes(project)
        if processes == 1:
            return
        for started in started_in_each_process(project):
            message = _message(started, processes, _is_preloaded(project))
            yield self.at(started.module, started.call, message, _help(started))


def _help(started: Started) -> str:
    if not started.signal:
        return _JOBS
    return _SHUTDOWN if started.signal in _ENDING else _SIGNALS


def _processes(project: Project) -> int | None:
    """The number of processes after the move; None if it is computed."""
    return capacity_after(project, capacity_now(project)).processes


def _is_preloaded(project: Project) -> bool:
    return any(server.value("preload_app") is True for server in all_servers(project))


def _message(started: Started, processes: int | None, is_preloaded: bool) -> str:
    each = "each process" if processes is None else f"each of {processes} processes"
    if started.signal in _ENDING:
        return (
            f"the handler of {started.signal} replaces the server's own in {each}, which ends the "
            f"process: it is set when {started.when}"
        )
    if started.signal:
        return (
            f"{started.signal} is handled in {each}, but the server's first process, which gets "
            f"it, does not pass it on: the handler is set when {started.when}"
        )
    before = "; until now once, in gunicorn's master (preload_app)" if is_preloaded else ""
    return f"this {started.kind} starts in {each}, when {started.when}{before}"
