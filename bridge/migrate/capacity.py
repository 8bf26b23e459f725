"""How many requests a deployment answers at a time, and how many database connections that takes.

What enters: a project. What leaves: numbers, with the arithmetic in words. Pure but for the
project.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

from bridge.migrate.deploy import StartCommand
from bridge.migrate.deploy.asked import Asked, asked_of, asked_of_config
from bridge.migrate.findings import Target
from bridge.migrate.project import Project

__all__ = ["Capacity", "Database", "capacity_after", "capacity_now", "databases", "started_with"]

_LEAST_THREADS = 4
_LIMITS = {"postgresql": ("max_connections = 100, less 3 for superusers", 97)}
_LIMITS["mysql"] = ("max_connections = 151, less 1 for the administrator", 150)


@dataclass(frozen=True)
class Capacity:
    """Processes and threads of a server.

    :ivar why: where the numbers come from, in words.
    """

    processes: int
    threads: int
    why: str

    @property
    def requests(self) -> int:
        """How many sync requests are answered at a time."""
        return self.processes * self.threads


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
        """The worst case, and how it comes about; None is without bound."""
        processes, threads = capacity.processes, capacity.threads
        if self.pool is not None:
            number = processes * self.pool
            return number, f"{processes} processes x {self.pool} of the pool = {number}"
        if target is Target.NATIVE:
            return None, (
                "one for each request in flight, for each has a thread of its own: no bound, "
                "unless the server's --limit-concurrency L makes it "
                f"{processes} processes x L"
            )
        return capacity.requests, (
            f"{processes} processes x {threads} threads = {capacity.requests} for sync views; an "
            "async view takes one more while it uses the database"
        )


def started_with(project: Project) -> tuple[StartCommand | None, Asked | None]:
    """The command that serves the project now, on a WSGI server, and all that it asks for."""
    for command in project.deploy.starting("gunicorn", "uwsgi"):
        return command, asked_of(command, project.deploy.configs, project.base)
    for config in project.deploy.configs:
        return None, asked_of_config(config)
    return next(iter(project.deploy.starting("waitress-serve")), None), None


def capacity_now(project: Project) -> Capacity | None:
    """What the deploy files ask for; None if they do not say."""
    command, asked = started_with(project)
    if asked is None:
        if command is None:
            return None
        threads = command.number("--threads") or 4
        return Capacity(1, threads, f"waitress: 1 process x {threads} threads")
    names = ("workers",) if asked.program == "gunicorn" else ("processes",)
    processes, threads = _number(asked, *names), _number(asked, "threads")
    return Capacity(
        processes, threads, f"{asked.program}: {processes} processes x {threads} threads"
    )


def _number(asked: Asked, *names: str) -> int:
    text = asked.text(*names)
    return max(1, int(text)) if text is not None and text.isdigit() else 1


def capacity_after(now: Capacity | None) -> Capacity:
    """What to start with: at least as many requests at a time as now."""
    if now is None:
        return Capacity(
            1, _LEAST_THREADS, "one process for each CPU; nothing says how many: counted for one"
        )
    if now.threads > 1 or now.processes < 3:
        threads = max(now.threads, _LEAST_THREADS if now.threads == 1 else 1)
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
