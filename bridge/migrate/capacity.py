"""How many requests a deployment serves at once, and how many database connections that needs.

Input: a project. Output: numbers, each with its calculation as text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from bridge.migrate.deploy.environment import variables_for
from bridge.migrate.deploy.server import Server
from bridge.migrate.event_streams import streams_holding_threads
from bridge.migrate.findings import Target
from bridge.migrate.project import Project
from bridge.migrate.serving import is_green
from bridge.migrate.wsgi_servers import served_server

__all__ = [
    "Capacity",
    "Database",
    "capacity_after",
    "capacity_now",
    "capacity_of",
    "databases",
    "planned_threads",
]

_MIN_THREADS = 4
_DEFAULT_THREADS = 40
_GREEN_THREADS = "1000"  # gunicorn's default
_LIMITS = {"postgresql": ("max_connections = 100, less 3 for superusers", 97)}
_LIMITS["mysql"] = ("max_connections = 151, less 1 for the administrator", 150)


@dataclass(frozen=True)
class Capacity:
    """The processes and threads of a server.

    :ivar processes: None if the deploy files compute it, or read it from the environment.
    :ivar threads: of each process; None in the same cases.
    :ivar why: where the numbers come from, as text.
    :ivar is_green: whether the threads are green threads, of gevent or eventlet.
    """

    processes: int | None
    threads: int | None
    why: str
    is_green: bool = False

    @property
    def requests(self) -> int | None:
        """The number of sync requests served at once; None if it is not known."""
        return _product(self.processes, self.threads)


@dataclass(frozen=True)
class _Numbers:
    """The options of a server for its processes and threads, and their defaults."""

    processes: str
    threads: str
    alone: str
    threaded: str


def _product(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one * other


def _times(processes: int | None, each: str) -> str:
    """``4 processes x 8 threads``"""
    number = "a computed number of" if processes is None else str(processes)
    return f"{number} {'process' if processes == 1 else 'processes'} x {each}"


def _threads(number: int | None, kind: str = "threads") -> str:
    if number is None:
        return f"a computed number of {kind}"
    return f"{number} {kind.removesuffix('s') if number == 1 else kind}"


@dataclass(frozen=True)
class Database:
    """One database.

    :ivar kind: ``postgresql``, ``mysql``, ``sqlite3`` and so on.
    :ivar pool: the maximum size of Django's own pool in one process; None without a pool.
    :ivar limit: how many connections the server accepts by default; None if not known.
    """

    alias: str
    kind: str
    pool: int | None
    limit: int | None
    limit_why: str

    def connections(self, target: Target, capacity: Capacity) -> tuple[int | None, str]:
        """The maximum, and its calculation; None if it is unbounded or not known."""
        processes = capacity.processes
        if self.pool is not None:
            number = _product(processes, self.pool)
            return number, _times(processes, f"{self.pool} of the pool") + _equals(number)
        if target is Target.NATIVE:
            return None, (
                "one for each request in flight, because each runs on its own thread: no bound, "
                "unless the server's --limit-concurrency L makes it " + _times(processes, "L")
            )
        return capacity.requests, (
            _times(processes, _threads(capacity.threads)) + _equals(capacity.requests) + " for "
            "sync views; an async view uses one more while it queries the database"
        )


def _equals(number: int | None) -> str:
    return "" if number is None else f" = {number}"


_NUMBERS = {
    "gunicorn": _Numbers("workers", "threads", "1", "1"),
    "uwsgi": _Numbers("processes", "threads", "1", "1"),
    "waitress-serve": _Numbers("", "threads", "1", "4"),
    "mod_wsgi": _Numbers("WSGIDaemonProcess+processes", "WSGIDaemonProcess+threads", "1", "15"),
    "mod_wsgi-express": _Numbers("processes", "threads", "1", "5"),
    "passenger": _Numbers("max_pool_size", "thread_count", "6", "1"),
}


def capacity_now(project: Project) -> Capacity | None:
    """The capacity that the deploy files configure; None if there are none."""
    server = served_server(project)
    return None if server is None else capacity_of(project, server)


def capacity_of(project: Project, server: Server) -> Capacity:
    """The capacity that one server configures."""
    names = _NUMBERS[server.program]
    processes = _number(server, names.processes, _default_workers(project, server, names))
    green = is_green(server)
    threads = _green_threads(server) if green else _number(server, names.threads, names.threaded)
    each = _threads(threads, "green threads" if green else "threads")
    return Capacity(processes, threads, f"{server.program}: {_times(processes, each)}", green)


def _default_workers(project: Project, server: Server, names: _Numbers) -> Any:
    """Without an option, gunicorn reads ``WEB_CONCURRENCY``."""
    command = server.command
    if server.program != "gunicorn" or command is None:
        return names.alone
    variables = variables_for(project.deploy.parts, command)
    return variables.get("WEB_CONCURRENCY") or names.alone


def _number(server: Server, name: str, default: Any) -> int | None:
    """The value of an option by default; None if it is computed, or not set anywhere."""
    value = server.default(name, default)
    return max(1, int(value)) if isinstance(value, str) and value.isdigit() else None


def _green_threads(server: Server) -> int | None:
    if server.program == "uwsgi":
        return _number(server, "gevent", "1")
    return _number(server, "worker_connections", _GREEN_THREADS)


def planned_threads(project: Project) -> int | None:
    """The threads of ``get_asgi_application(threads=...)``; None if no deploy file has a number."""
    now = capacity_now(project)
    if project.target is not Target.BRIDGE or now is None:
        return None
    return capacity_after(project, now).threads


def capacity_after(project: Project, now: Capacity | None) -> Capacity:
    """The capacity to start with: at least as many requests at once as now, besides streams."""
    found = _at_least(now)
    streams = len(streams_holding_threads(project))
    if not streams or found.threads is None:
        return found
    threads = max(found.threads, _DEFAULT_THREADS)
    each = "1 event stream" if streams == 1 else f"{streams} event streams"
    why = f"{each}: a thread for each open client, besides those for pages; count the clients"
    return replace(found, threads=threads, why=f"{why} ({found.why})")


def _at_least(now: Capacity | None) -> Capacity:
    """As many requests at once as now."""
    if now is None:
        return Capacity(
            1,
            _MIN_THREADS,
            "one process per CPU; the deploy files do not say how many, so this assumes one",
        )
    if now.is_green:
        return Capacity(
            now.processes,
            _DEFAULT_THREADS,
            f"{_DEFAULT_THREADS} is bridge's default; the number of green threads does not carry "
            f"over ({now.why})",
        )
    if now.threads != 1:
        return Capacity(now.processes, now.threads, f"as now ({now.why})")
    return Capacity(
        now.processes,
        _MIN_THREADS,
        f"at least {_MIN_THREADS} (now {now.why})",
    )


def databases(project: Project) -> Iterator[Database]:
    """The databases of the project that are servers; not SQLite, which is a file."""
    value = project.settings.value("DATABASES", {})
    for alias, each in value.items() if isinstance(value, dict) else ():
        if not isinstance(each, dict) or not isinstance(each.get("ENGINE"), str):
            continue
        kind = str(each["ENGINE"]).rpartition(".")[2].replace("postgis", "postgresql")
        if kind not in ("sqlite3", "dummy", "spatialite"):
            why, limit = _LIMITS.get(kind, ("", None))
            yield Database(alias, kind, _pool(each), limit, why)


def _pool(settings: dict[str, Any]) -> int | None:
    """psycopg_pool's ``max_size``, which defaults to its ``min_size``, 4."""
    options = settings.get("OPTIONS")
    pool = options.get("pool") if isinstance(options, dict) else None
    if pool is True:
        return 4
    if isinstance(pool, dict) and pool:
        size = pool.get("max_size", pool.get("min_size", 4))
        return size if isinstance(size, int) else None
    return None
