"""What to move to, with which server, how many threads and connections, and the way back.

What enters: a :class:`~bridge.migrate.session.Session`. What leaves: a :class:`Plan`, in values,
and as text, Markdown or JSON.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bridge.migrate.capacity import (
    Capacity,
    capacity_after,
    capacity_now,
    databases,
    started_with,
)
from bridge.migrate.deploy.server import Option, Server
from bridge.migrate.entry_points import wsgi_modules
from bridge.migrate.hops import hops
from bridge.migrate.middleware import middleware_of
from bridge.migrate.serving import bridge_command
from bridge.migrate.session import Session
from bridge.migrate.wsgi_servers import serves_asgi, text_at

__all__ = ["PLAN_FORMATS", "Plan", "plan"]

_NO_APP = "MODULE:APP"
_COMPUTED = "a computed number"


@dataclass(frozen=True)
class Plan:
    """The recommendation.

    :ivar move: ``stay``, ``bridge`` or ``native``: what the rest is for.
    :ivar advice: the same, as recommended: other than ``move`` where the user chose.
    :ivar target: the one that the findings in ``first`` are for.
    :ivar reason: of the advice.
    :ivar server: the command to start; with ``MODULE:APP`` where nothing says which app it is.
    :ivar processes: None where the deploy files compute it, or take it from the environment.
    :ivar threads: of each process; None likewise.
    :ivar threads_where: where to say how many, where it is not in the command.
    :ivar hops: H of a request to a sync view, on each target.
    :ivar connections: for each database the worst case now and then, in words.
    :ivar first: what to do before, as findings by severity.
    :ivar rollback: the command that serves the project as before.
    """

    project: str
    move: str
    advice: str
    target: str
    reason: str
    places: tuple[str, ...]
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
    """Work the recommendation out."""
    project, advice = session.project, session.advice
    move = _move(session)
    now = capacity_now(project)
    after = now if move == "stay" and now is not None else capacity_after(now)
    lines = tuple(_connections(session, now, after))
    before = _command_now(session)
    return Plan(
        project=_name(session),
        move=move,
        advice=advice.move,
        target=project.target.value,
        reason=advice.reason,
        places=advice.places,
        server=_server(session, after),
        server_before=before,
        processes=after.processes,
        threads=after.threads,
        threads_why=after.why,
        threads_where=_threads_where(session, after),
        hops=_hops(session),
        connections=lines,
        first={
            severity.name.lower(): number
            for severity, number in sorted(Counter(session.severities()).items(), reverse=True)
        },
        commands=_commands(session),
        rollback=before,
    )


def _move(session: Session) -> str:
    chosen = session.choices.target
    return session.advice.move if chosen == "auto" else chosen


def _name(session: Session) -> str:
    facts = session.project.facts
    versions = f" (Django {facts.django}, Python {facts.python})" if facts else ""
    return f"{session.project.root.name}{versions}"


def _hops(session: Session) -> dict[str, int]:
    if not session.project.settings.strings("MIDDLEWARE"):
        return {}
    way = hops(middleware_of(session.project), is_async_view=False)
    return {"native": len(way), "bridge": 1}


# -- servers ---------------------------------------------------------------------------------------


def _command_now(session: Session) -> str:
    """The start command as it is written, else the usual one."""
    command, _ = started_with(session.project)
    if command is not None:
        return " ".join(command.argv)
    wsgi = next(iter(wsgi_modules(session.project)), None)
    return f"gunicorn {wsgi.name}:application" if wsgi else "the command that starts it now"


def _server(session: Session, after: Capacity) -> str:
    if _move(session) == "stay":
        return _command_now(session)
    if session.project.is_django:
        workers = f" --workers {after.processes}" if (after.processes or 1) > 1 else ""
        return f"uvicorn {_asgi_target(session)}{workers}{_where(session)}"
    return _server_of_app(session, after)


def _server_of_app(session: Session, after: Capacity) -> str:
    """For a WSGI app of any framework, ``bridge run``; an ASGI app goes to uvicorn as it is."""
    command, asked = started_with(session.project)
    app = (asked.app if asked else None) or (command.target if command else None) or _NO_APP
    if asked is not None and serves_asgi(session.project, asked):
        return f"uvicorn {app}{_where(session)}"
    if asked is None:
        return f"bridge run {shlex.quote(app)} --server uvicorn --threads {after.threads}"
    path = asked.command.path if asked.command else session.project.root
    line = bridge_command(_as_planned(asked, after, path), app, text_at(session.project, path))
    return " ".join(word if "$" in word else shlex.quote(word) for word in line.argv)


def _as_planned(asked: Server, after: Capacity, path: Path) -> Server:
    """The same with the planned numbers; no number of processes where it names none."""
    processes = "workers" if asked.program == "gunicorn" else "processes"
    planned = {processes: after.processes, "threads": after.threads}
    options = {
        name: Option(name, name, str(number), path, 0)
        for name, number in planned.items()
        if number is not None and (name in asked.options or name == "threads")
    }
    return replace(asked, options={**asked.options, **options})


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


def _where(session: Session) -> str:
    """The address that it listens at now."""
    command, asked = started_with(session.project)
    bound = asked.value("bind") if asked else None
    address = bound[-1] if isinstance(bound, list) and bound else None
    if command is None or not isinstance(address, str):
        return ""
    if address.startswith("unix:"):
        return f" --uds {address.removeprefix('unix:')}"
    host, _, port = address.rpartition(":")
    return f" --host {host or '127.0.0.1'} --port {port}"


def _commands(session: Session) -> tuple[str, ...]:
    target = session.project.target.value
    if _move(session) == "stay":
        return ("to move all the same: bridge migrate plan . --target bridge",)
    return (
        f"bridge migrate check . --target {target}",
        f"bridge migrate fix . --target {target} --write",
    )


# -- database connections --------------------------------------------------------------------------


def _connections(session: Session, now: Capacity | None, after: Capacity) -> list[str]:
    is_move = _move(session) != "stay"
    lines: list[str] = []
    for database in databases(session.project):
        before = "now as many as threads"
        if now is not None and now.requests is not None:
            before = f"now {now.requests}"
        number, why = database.connections(session.project.target, after)
        if not is_move:
            number = after.requests
            why = "it stays as it is" if number is None else f"it stays at {number}"
        text = f"{database.alias} ({database.kind}): {before}; {'then ' if is_move else ''}{why}"
        if database.limit is not None:
            text += f". The server takes {database.limit} by default ({database.limit_why})"
            text += _fits(number, database.limit, after)
        lines.append(text)
    return lines


def _fits(number: int | None, limit: int, after: Capacity) -> str:
    if number is None and after.requests is None:
        return ": see that it is not more"
    if number is None:
        return ": set CONN_MAX_AGE = 0, use a pool, and limit the concurrency"
    if number <= limit:
        return ": enough"
    threads = max(1, limit // (after.processes or 1))
    return f": too few, so use at most {threads} threads in each process"


# -- telling ---------------------------------------------------------------------------------------


_HEADINGS = {
    "stay": "stay on WSGI",
    "bridge": "move to ASGI through bridge",
    "native": "move to ASGI, on the framework's own handler",
}


def _rows(made: Plan) -> list[tuple[str, list[str]]]:
    """The plan as headed lines, for text and Markdown."""
    number = _COMPUTED + " of" if made.processes is None else made.processes
    processes = "1 process" if made.processes == 1 else f"each of {number} processes"
    threads = f"{made.threads or _COMPUTED} in {processes}: {made.threads_why}"
    if made.move == "native":
        threads = f"no setting: Django makes one for each request in flight, in {processes}"
    rows = [
        ("Recommended", [_HEADINGS[made.advice], f"because {made.reason}"]),
        ("You chose", [] if made.advice == made.move else [_HEADINGS[made.move]]),
        ("Async code", list(made.places[:10]) + _more(made.places[10:])),
        ("Server", [made.server, *_app_note(made)]),
        ("Threads", [threads, *([made.threads_where] if made.threads_where else [])]),
        ("Hops", [_hops_line(made)] if made.hops else []),
        ("Connections", list(made.connections) or ["no database that takes connections"]),
        ("First fix", [] if made.move == "stay" else [_first(made)]),
        ("Commands", list(made.commands)),
        ("Way back", [made.rollback]),
    ]
    return [(name, lines) for name, lines in rows if lines]


def _more(left: tuple[str, ...]) -> list[str]:
    return [f"and {len(left)} more"] if left else []


def _app_note(made: Plan) -> list[str]:
    return [f"{_NO_APP} is your app: no deploy file says which"] if _NO_APP in made.server else []


def _hops_line(made: Plan) -> str:
    return (
        f"a request to a sync view is handed to a thread {made.hops['native']} times by Django's "
        f"own ASGI handler, {made.hops['bridge']} time through bridge, never under WSGI"
    )


def _first(made: Plan) -> str:
    if not made.first:
        return "nothing was found"
    return ", ".join(f"{number} {severity}" for severity, number in made.first.items())


def _as_text(made: Plan) -> str:
    lines = [f"Plan for {made.project}", ""]
    for name, rows in _rows(made):
        lines += [f"{name:<12} {rows[0]}", *(f"{'':<12} {row}" for row in rows[1:])]
    return "\n".join(lines) + "\n"


def _as_markdown(made: Plan) -> str:
    lines = [f"# Plan for {made.project}", "", "| | |", "|---|---|"]
    for name, rows in _rows(made):
        cell = "<br>".join(row.replace("|", "\\|") for row in rows)
        lines.append(f"| {name} | {cell} |")
    return "\n".join(lines) + "\n"


def _as_json(made: Plan) -> str:
    values: dict[str, Any] = {"version": 1, **asdict(made)}
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


PLAN_FORMATS: Mapping[str, Callable[[Plan], str]] = {
    "text": _as_text,
    "markdown": _as_markdown,
    "json": _as_json,
}
