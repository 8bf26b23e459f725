"""What to move to: server, threads, database connections, first steps, and how to roll back.

Input: a :class:`~bridge.migrate.session.Session`. Output: a :class:`Plan`, as plain values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from bridge.migrate.capacity import (
    Capacity,
    Database,
    capacity_after,
    capacity_now,
    databases,
)
from bridge.migrate.deploy.tables.rows import Group
from bridge.migrate.entry_points import wsgi_modules
from bridge.migrate.event_streams import STREAM_GRACE_S, EventStream, event_streams
from bridge.migrate.hops import hops
from bridge.migrate.inventory import inventory_of
from bridge.migrate.listing import listed
from bridge.migrate.literals import UNKNOWN
from bridge.migrate.middleware import middleware_of
from bridge.migrate.plan_values import UNKNOWN_APP, Plan
from bridge.migrate.replacement import replacement_of
from bridge.migrate.session import Session
from bridge.migrate.wsgi_servers import served_server, serves_asgi

__all__ = ["plan"]


def plan(session: Session) -> Plan:
    """The plan for a checked project."""
    project, advice = session.project, session.advice
    move = _move(session)
    now = capacity_now(project)
    after = now if move == "stay" and now is not None else capacity_after(project, now)
    before, before_at = _current_command(session)
    inventory = inventory_of(project)
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
        rollback_at=before_at,
        settings=_settings(session),
        debug=_debug(session),
        refused=_refused(session),
        counts={group.value: len(inventory.in_group(group)) for group in Group},
        inventory=tuple(listed(project, item) for item in inventory.items),
    )


def _settings(session: Session) -> tuple[str, ...]:
    """The settings module, and the places that name it; empty without Django."""
    project = session.project
    if project.settings_module is None:
        return ()
    if session.options.settings:
        return project.settings_module, "--settings"
    places = [f"{project.shown(each.path)}:{each.line}" for each in project.settings_places]
    return project.settings_module, *(places or ["the default of the project's own modules"])


def _debug(session: Session) -> bool | None:
    value = session.project.settings.value("DEBUG") if session.project.is_django else None
    return value if isinstance(value, bool) else None


def _refused(session: Session) -> tuple[str, ...]:
    server = served_server(session.project)
    new = None if server is None else replacement_of(session.project, server)
    is_move = _move(session) != "stay"
    return new.line.blocked if new is not None and is_move else ()


def _move(session: Session) -> str:
    chosen = session.options.target
    return session.advice.move if chosen == "auto" else chosen


def _stream(stream: EventStream) -> str:
    held = "a thread" if stream.holds_thread else "no thread: its iterator is async"
    return f"{stream.place}: each open client holds {held}"


def _name(session: Session) -> str:
    facts = session.project.facts
    versions = f" (Django {facts.django}, Python {facts.python})" if facts and facts.django else ""
    return f"{session.project.root.name}{versions}"


def _hops(session: Session) -> dict[str, int]:
    if not session.project.settings.strings("MIDDLEWARE"):
        return {}
    native = hops(middleware_of(session.project), is_async_view=False)
    return {"native": len(native), "bridge": 1}


# -- servers ---------------------------------------------------------------------------------------


def _current_command(session: Session) -> tuple[str, str]:
    """The start command that was found, and its place; without one, empty texts."""
    project, server = session.project, served_server(session.project)
    if server is None:
        return "", ""
    command = server.command
    if command is not None:
        return " ".join(command.argv), f"{project.shown(command.path)}:{command.line}"
    path = project.shown(server.config) if server.config else ""
    return _STARTS[server.program].format(path=path), path


_STARTS = {
    "uwsgi": "uwsgi {path}",
    "gunicorn": "gunicorn --config {path}",
    "mod_wsgi": "apachectl start",
    "passenger": "passenger start",
}
"""How a server is started with a configuration file that no command names."""


def _server(session: Session, after: Capacity) -> str:
    project, server = session.project, served_server(session.project)
    if _move(session) == "stay":
        return _current_command(session)[0]
    if server is not None and not project.is_django and serves_asgi(project, server):
        return f"uvicorn {server.app}"
    new = None if server is None else replacement_of(project, server)
    if new is not None:
        return new.shown
    if project.is_django:
        workers = f" --workers {after.processes}" if (after.processes or 1) > 1 else ""
        return f"uvicorn {_asgi_target(session)}{workers}{_grace(session)}"
    return f"bridge run {UNKNOWN_APP} --server uvicorn --threads {after.threads}"


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
    package = wsgi.name.rpartition(".")[0] if wsgi else _package_of(project.settings_module or "")
    return f"{package}.asgi:application" if package else "asgi:application"


def _package_of(settings_module: str) -> str:
    """The package of the settings, where ``asgi.py`` is made; empty if they are beside it."""
    return settings_module.partition(".")[0] if "." in settings_module else ""


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
