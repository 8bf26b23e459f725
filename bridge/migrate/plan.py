"""What to move to: server, threads, database connections, first steps, and how to roll back.

Input: a :class:`~bridge.migrate.session.Session`. Output: a :class:`Plan`, as plain values.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bridge.migrate.capacity import (
    Capacity,
    Database,
    capacity_after,
    capacity_now,
    current_server,
    databases,
    threads_for_streams,
)
from bridge.migrate.deploy.server import Option, Server
from bridge.migrate.entry_points import wsgi_modules
from bridge.migrate.event_streams import STREAM_GRACE_S, EventStream, event_streams
from bridge.migrate.hops import hops
from bridge.migrate.literals import UNKNOWN
from bridge.migrate.middleware import middleware_of
from bridge.migrate.serving import bridge_command
from bridge.migrate.session import Session
from bridge.migrate.wsgi_servers import serves_asgi, text_at

__all__ = ["UNKNOWN_APP", "Plan", "plan"]

UNKNOWN_APP = "MODULE:APP"
"""Placeholder in a command for an app that no deploy file names."""


@dataclass(frozen=True)
class Plan:
    """The recommendation. Its fields are the keys of the JSON output.

    :ivar move: ``stay``, ``bridge`` or ``native``: the move that the plan describes.
    :ivar advice: the recommended move; differs from ``move`` if the user chose another target.
    :ivar target: the target of the findings in ``first``.
    :ivar reason: of the advice.
    :ivar places: the async code of the project.
    :ivar streams: its event streams, and what each open client of one holds.
    :ivar server: the command to start, with :data:`UNKNOWN_APP` if no deploy file names the app.
    :ivar processes: None if the deploy files compute it, or read it from the environment.
    :ivar threads: of each process; None in the same cases.
    :ivar threads_where: where to set the number of threads, if not in the command.
    :ivar hops: the thread hops of a request to a sync view, on each target.
    :ivar connections: for each database the maximum now and after the move, as text.
    :ivar first: the number of findings to fix first, by severity.
    :ivar rollback: the command that serves the project as before.
    """

    project: str
    move: str
    advice: str
    target: str
    reason: str
    places: tuple[str, ...]
    streams: tuple[str, ...]
    server: str
    server_before: str
    processes: int | None
    threads: int | None
    threads_why: str
    threads_where: str
    hops: dict[str, int]
    connections: tuple[str, ...]
    first: dict[str, int]
    commands: tuple[str, ...]
    rollback: str


def plan(session: Session) -> Plan:
    """The plan for a checked project."""
    project, advice = session.project, session.advice
    move = _move(session)
    now = capacity_now(project)
    after = now if move == "stay" and now is not None else capacity_after(project, now)
    before = _current_command(session)
    return Plan(
        project=_name(session),
        move=move,
        advice=advice.move,
        target=project.target.value,
        reason=advice.reason,
        places=advice.places,
        streams=tuple(map(_stream, event_streams(project))),
        server=_server(session, after),
        server_before=before,
        processes=after.processes,
        threads=after.threads,
        threads_why=after.why,
        threads_where=_threads_where(session, after),
        hops=_hops(session),
        connections=tuple(_connections(session, now, after)),
        first={
            severity.name.lower(): number
            for severity, number in sorted(Counter(session.severities()).items(), reverse=True)
        },
        commands=_commands(session),
        rollback=before,
    )


def _move(session: Session) -> str:
    chosen = session.options.target
    return session.advice.move if chosen == "auto" else chosen


def _stream(stream: EventStream) -> str:
    held = "a thread" if stream.holds_thread else "no thread: its iterator is async"
    return f"{stream.place}: each open client holds {held}"


def _name(session: Session) -> str:
    facts = session.project.facts
    versions = f" (Django {facts.django}, Python {facts.python})" if facts else ""
    return f"{session.project.root.name}{versions}"


def _hops(session: Session) -> dict[str, int]:
    if not session.project.settings.strings("MIDDLEWARE"):
        return {}
    native = hops(middleware_of(session.project), is_async_view=False)
    return {"native": len(native), "bridge": 1}


# -- servers ---------------------------------------------------------------------------------------


def _current_command(session: Session) -> str:
    """The start command of the deploy files, else the usual one."""
    command, _ = current_server(session.project)
    if command is not None:
        return " ".join(command.argv)
    wsgi = next(iter(wsgi_modules(session.project)), None)
    return f"gunicorn {wsgi.name}:application" if wsgi else "the command that starts it now"


def _server(session: Session, after: Capacity) -> str:
    if _move(session) == "stay":
        return _current_command(session)
    if session.project.is_django:
        workers = f" --workers {after.processes}" if (after.processes or 1) > 1 else ""
        return f"uvicorn {_asgi_target(session)}{workers}{_address(session)}{_grace(session)}"
    return _server_of_app(session, after)


def _server_of_app(session: Session, after: Capacity) -> str:
    """``bridge run`` for a WSGI app of any framework; uvicorn for an ASGI app."""
    command, server = current_server(session.project)
    app = (server.app if server else None) or (command.target if command else None) or UNKNOWN_APP
    if server is not None and serves_asgi(session.project, server):
        return f"uvicorn {app}{_address(session)}"
    if server is None:
        return f"bridge run {shlex.quote(app)} --server uvicorn --threads {after.threads}"
    path = server.command.path if server.command else session.project.root
    line = bridge_command(
        _as_planned(server, after, path),
        app,
        text_at(session.project, path),
        threads=threads_for_streams(session.project, server),
        grace_s=STREAM_GRACE_S if event_streams(session.project) else None,
    )
    return " ".join(word if "$" in word else shlex.quote(word) for word in line.argv)


def _as_planned(server: Server, after: Capacity, path: Path) -> Server:
    """The same server with the planned numbers; without processes if it sets none."""
    processes = "workers" if server.program == "gunicorn" else "processes"
    planned = {processes: after.processes, "threads": after.threads}
    options = {
        name: Option(name, name, str(number), path, 0)
        for name, number in planned.items()
        if number is not None and (name in server.options or name == "threads")
    }
    return replace(server, options={**server.options, **options})


def _threads_where(session: Session, after: Capacity) -> str:
    if _move(session) != "bridge" or not session.project.is_django or after.threads is None:
        return ""
    call = f"get_asgi_application(threads={after.threads})"
    return f"in asgi.py, from bridge.contrib.django: {call}"


def _asgi_target(session: Session) -> str:
    project = session.project
    found = [each for each in project.modules if each.name.rpartition(".")[2] == "asgi"]
    wsgi = next(iter(wsgi_modules(project)), None)
    if found:
        return f"{found[0].name}:application"
    name = wsgi.name.rpartition(".")[0] if wsgi else (project.settings_module or "").split(".")[0]
    return f"{name}.asgi:application"


def _address(session: Session) -> str:
    """The options for the address that the project listens on now."""
    command, server = current_server(session.project)
    bound = server.value("bind") if server else None
    address = bound[-1] if isinstance(bound, list) and bound else None
    if command is None or not isinstance(address, str):
        return ""
    if address.startswith("unix:"):
        return f" --uds {address.removeprefix('unix:')}"
    host, _, port = address.rpartition(":")
    return f" --host {host or '127.0.0.1'} --port {port}"


def _grace(session: Session) -> str:
    """With open streams, uvicorn waits at shutdown without a limit, unless this sets one."""
    return (
        f" --timeout-graceful-shutdown {STREAM_GRACE_S}" if event_streams(session.project) else ""
    )


def _commands(session: Session) -> tuple[str, ...]:
    target = session.project.target.value
    if _move(session) == "stay":
        return ("to move anyway: bridge migrate plan . --target bridge",)
    return (
        f"bridge migrate check . --target {target}",
        f"bridge migrate fix . --target {target} --write",
    )


# -- database connections --------------------------------------------------------------------------


def _connections(session: Session, now: Capacity | None, after: Capacity) -> list[str]:
    is_move = _move(session) != "stay"
    lines: list[str] = []
    for database in [*databases(session.project), *_computed_databases(session)]:
        before = "now one per thread"
        if now is not None and now.requests is not None:
            before = f"now {now.requests}"
        number, why = database.connections(session.project.target, after)
        if not is_move:
            number = after.requests
            why = "unchanged" if number is None else f"unchanged at {number}"
        text = f"{database.alias} ({database.kind}): {before}; {'then ' if is_move else ''}{why}"
        if database.limit is not None:
            text += f". The server accepts {database.limit} by default ({database.limit_why})"
            text += _verdict(number, database.limit, after)
        lines.append(text)
    return lines


def _computed_databases(session: Session) -> Iterator[Database]:
    """For a ``DATABASES`` that is computed, and was not introspected."""
    setting = session.project.settings.get("DATABASES")
    if setting is not None and setting.value is UNKNOWN:
        yield Database("each database server", "DATABASES is computed", None, None, "")


def _verdict(number: int | None, limit: int, after: Capacity) -> str:
    if number is None and after.requests is None:
        return ": check that this is enough"
    if number is None:
        return ": set CONN_MAX_AGE = 0, use a pool, and limit the concurrency"
    if number <= limit:
        return ": enough"
    threads = max(1, limit // (after.processes or 1))
    return f": too few, use at most {threads} threads in each process"
