"""How many requests a deployment answers at a time, and how many database connections that takes.

What enters: a project. What leaves: numbers, with the arithmetic in words. Pure but for the
project.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

from bridge.migrate.deploy.records import StartCommand
from bridge.migrate.deploy.server import Server, server_of_command, server_of_config
from bridge.migrate.findings import Target
from bridge.migrate.project import Project
from bridge.migrate.serving import is_green

__all__ = ["Capacity", "Database", "capacity_after", "capacity_now", "databases", "started_with"]

_LEAST_THREADS = 4
_DEFAULT_THREADS = 40
_GREEN_THREADS = "1000"  # gunicorn's default
_LIMITS = {"postgresql": ("max_connections = 100, less 3 for superusers", 97)}
_LIMITS["mysql"] = ("max_connections = 151, less 1 for the administrator", 150)


@dataclass(frozen=True)
class Capacity:
    """Processes and threads of a server.

    :ivar processes: None where the deploy files compute it, or take it from the environment.
    :ivar threads: of each process; None likewise.
    :ivar why: where the numbers come from, in words.
    :ivar is_green: whether the threads are green ones, of gevent or eventlet.
    """

    processes: int | None
    threads: int | None
    why: str
    is_green: bool = False

    @property
    def requests(self) -> int | None:
        """How many sync requests are answered at a time; None if that is not known."""
        return _product(self.processes, self.threads)


def _product(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one * other


def _words(processes: int | None, each: str) -> str:
    """``4 processes x 8 threads``"""
    number = "a computed number of" if processes is None else str(processes)
    return f"{number} processes x {each}"


def _threads(number: int | None, kind: str = "threads") -> str:
    return f"a computed number of {kind}" if number is None else f"{number} {kind}"


@dataclass(frozen=True)
class Database:
    """One database.

    :ivar kind: ``postgresql``, ``mysql``, ``sqlite3`` and so on.
    :ivar pool: the most connections of Django's own pool in one process; None without one.
    :ivar limit: how many the server takes by default; None if that is not known.
    """

    alias: str
    kind: str
    pool: int | None
    limit: int | None
    limit_why: str

    def connections(self, target: Target, capacity: Capacity) -> tuple[int | None, str]:
        """The worst case, and how it comes about; None is without bound, or not known."""
        processes = capacity.processes
        if self.pool is not None:
            number = _product(processes, self.pool)
            return number, _words(processes, f"{self.pool} of the pool") + _equals(number)
        if target is Target.NATIVE:
            return None, (
                "one for each request in flight, for each has a thread of its own: no bound, "
                "unless the server's --limit-concurrency L makes it " + _words(processes, "L")
            )
        return capacity.requests, (
            _words(processes, _threads(capacity.threads)) + _equals(capacity.requests) + " for "
            "sync views; an async view takes one more while it uses the database"
        )


def _equals(number: int | None) -> str:
    return "" if number is None else f" = {number}"


def started_with(project: Project) -> tuple[StartCommand | None, Server | None]:
    """The command that serves the project now, on a WSGI server, and all that it asks for."""
    for command in project.deploy.starting("gunicorn", "uwsgi"):
        return command, server_of_command(command, project.deploy.configs, project.base)
    for config in project.deploy.configs:
        return None, server_of_config(config)
    return next(iter(project.deploy.starting("waitress-serve")), None), None


def capacity_now(project: Project) -> Capacity | None:
    """What the deploy files ask for; None if they do not say."""
    command, asked = started_with(project)
    if asked is None:
        if command is None:
            return None
        number = command.number("--threads") or 4
        return Capacity(1, number, f"waitress: 1 process x {number} threads")
    processes = _number(asked, "workers" if asked.program == "gunicorn" else "processes")
    green = is_green(asked)
    threads = _green_threads(asked) if green else _number(asked, "threads")
    each = _threads(threads, "green threads" if green else "threads")
    return Capacity(processes, threads, f"{asked.program}: {_words(processes, each)}", green)


def _number(asked: Server, name: str, default: str = "1") -> int | None:
    """What an option is set to; None where that is computed, or a variable."""
    value = asked.value(name, default)
    return max(1, int(value)) if isinstance(value, str) and value.isdigit() else None


def _green_threads(asked: Server) -> int | None:
    if asked.program == "uwsgi":
        return _number(asked, "gevent")
    return _number(asked, "worker_connections", _GREEN_THREADS)


def capacity_after(now: Capacity | None) -> Capacity:
    """What to start with: at least as many requests at a time as now."""
    if now is None:
        return Capacity(
            1, _LEAST_THREADS, "one process for each CPU; nothing says how many: counted for one"
        )
    if now.is_green:
        return Capacity(
            now.processes,
            _DEFAULT_THREADS,
            f"{_DEFAULT_THREADS} is bridge's default: green threads are no measure of it "
            f"({now.why})",
        )
    if now.threads != 1 or now.processes is None or now.processes < 3:
        threads = _LEAST_THREADS if now.threads == 1 else now.threads
        return Capacity(now.processes, threads, f"as now ({now.why})")
    processes = (now.processes - 1) // 2  # gunicorn's rule, 2 x CPU + 1, the other way round
    threads = max(_LEAST_THREADS, ceil(now.processes / processes))
    return Capacity(
        processes,
        threads,
        f"{now.processes} workers of one thread are 2 x {processes} CPUs + 1 by gunicorn's rule: "
        "one process for each CPU, and threads in place of the other workers",
    )


def databases(project: Project) -> Iterator[Database]:
    """The databases that take connections; SQLite is a file and takes none."""
    value = project.settings.value("DATABASES", {})
    for alias, each in value.items() if isinstance(value, dict) else ():
        if not isinstance(each, dict) or not isinstance(each.get("ENGINE"), str):
            continue
        kind = str(each["ENGINE"]).rpartition(".")[2].replace("postgis", "postgresql")
        if kind not in ("sqlite3", "dummy", "spatialite"):
            why, limit = _LIMITS.get(kind, ("", None))
            yield Database(alias, kind, _pool(each), limit, why)


def _pool(settings: dict[str, Any]) -> int | None:
    """psycopg_pool's ``max_size``, which is its ``min_size`` of 4 where it is not given."""
    options = settings.get("OPTIONS")
    pool = options.get("pool") if isinstance(options, dict) else None
    if pool is True:
        return 4
    if isinstance(pool, dict) and pool:
        least = pool.get("min_size", 4)
        size = pool.get("max_size", least)
        return size if isinstance(size, int) else None
    return None
