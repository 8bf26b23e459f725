"""A plan as text, Markdown or JSON.

Input: a :class:`~bridge.migrate.plan.Plan`. Output: text for stdout.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from bridge.migrate.deploy.tables.rows import Group
from bridge.migrate.display import printable, quoted_name
from bridge.migrate.findings import Severity
from bridge.migrate.outputs.grouping import severity_counts
from bridge.migrate.plan_values import UNKNOWN_APP, Plan

__all__ = ["PLAN_FORMATS"]

_COMPUTED = "a computed number"
_HEADINGS = {
    "stay": "stay on WSGI",
    "bridge": "move to ASGI through bridge",
    "native": "move to ASGI, on the framework's own handler",
}


def _rows(plan: Plan, verbose: bool) -> list[tuple[str, list[str]]]:
    """The plan as lines with headings, for text and Markdown."""
    number = _COMPUTED + " of" if plan.processes is None else plan.processes
    processes = "1 process" if plan.processes == 1 else f"each of {number} processes"
    threads = f"{plan.threads or _COMPUTED} in {processes}: {plan.threads_why}"
    if plan.move == "native":
        threads = f"no setting: Django starts one per request in flight, in {processes}"
    rows = [
        ("Warning", [_DEBUG.format(module=plan.settings[0])] if plan.debug else []),
        ("Recommended", [_HEADINGS[plan.advice], f"because {plan.reason}"]),
        ("You chose", [] if plan.advice == plan.move else [_HEADINGS[plan.move]]),
        ("Streams", list(plan.streams[:10]) + _more(plan.streams[10:])),
        ("Async code", list(plan.places[:10]) + _more(plan.places[10:])),
        ("Settings", _settings(plan)),
        ("Server", [plan.server or _NO_COMMAND, *_app_note(plan), *_refused(plan)]),
        ("Threads", [threads, *([plan.threads_where] if plan.threads_where else [])]),
        ("Hops", [_hops(plan)] if plan.hops else []),
        ("Connections", list(plan.connections)),
        ("Fix first", [] if plan.move == "stay" else [_findings(plan)]),
        ("Commands", list(plan.commands)),
        ("Roll back", _rollback(plan)),
    ]
    return [(name, lines) for name, lines in (*rows, *_groups(plan, verbose)) if lines]


_GROUPS = {
    Group.CARRIED: "Carried over",
    Group.BY_HAND: "By hand",
    Group.NOT_NEEDED: "Not needed",
    Group.NOT_UNDERSTOOD: "Not understood",
}


def _groups(plan: Plan, verbose: bool) -> Iterator[tuple[str, list[str]]]:
    """The inventory of the old deployment, by what becomes of it."""
    for group, heading in _GROUPS.items():
        items = [each for each in plan.inventory if each["group"] == group.value]
        number = f"{len(items)} of {len(plan.inventory)} values in the old deployment"
        shown = [each for each in items if verbose or not each["stays"]]
        if plan.inventory:
            lines = [number if items else "nothing", *map(_item, shown)]
            yield heading, [*lines, *_not_shown(len(items) - len(shown))]


def _not_shown(number: int) -> list[str]:
    stay = "stays as it is, in its file" if number == 1 else "stay as they are, in their files"
    return [f"{number} more {stay}: --verbose lists them"] if number else []


def _item(item: Mapping[str, Any]) -> str:
    value = str(item["value"] if item["default"] is None else item["default"])
    shown = value if len(value) <= 60 else f"{value[:57]}..."
    name = item["written"] or "?"
    if item["source"] == "environment" and item["option"] != name:
        name = item["option"]
    text = f"{item['file']}:{item['line']}: {name}"
    text += f" = {shown}" if shown and shown != name else ""
    if item["condition"]:
        text += f" ({_CONDITIONS[item['applies']]} {item['condition']})"
    text += f": {item['why']}" if item["why"] else ""
    return text + (f"; {item['instead']}" if item["instead"] else "")


_CONDITIONS = {True: "by default, depends on", False: "not by default, only", None: "depends on"}


_NO_COMMAND = "the command that starts it now: no deploy file has one"
_DEBUG = (
    "DEBUG is on in {module}, which would be served: name the settings of the deployment with "
    "--settings"
)


def _settings(plan: Plan) -> list[str]:
    if not plan.settings:
        return []
    module, *places = plan.settings
    debug = {True: "DEBUG is on", False: "DEBUG is off", None: "DEBUG is not known"}[plan.debug]
    return [f"{module}, of {', '.join(places)}; {debug}"]


def _refused(plan: Plan) -> list[str]:
    return [f"not written by fix: {each}" for each in plan.refused]


def _rollback(plan: Plan) -> list[str]:
    return [f"{plan.rollback} (as in {plan.rollback_at})"] if plan.rollback else [_NO_COMMAND]


def _more(rest: tuple[str, ...]) -> list[str]:
    return [f"and {len(rest)} more"] if rest else []


def _app_note(plan: Plan) -> list[str]:
    if UNKNOWN_APP not in plan.server:
        return []
    return [f"replace {UNKNOWN_APP} with your app: no deploy file names it"]


def _hops(plan: Plan) -> str:
    return (
        f"a request to a sync view is handed to a thread {plan.hops['native']} times by Django's "
        f"own ASGI handler, {plan.hops['bridge']} time through bridge, never under WSGI"
    )


def _findings(plan: Plan) -> str:
    counts = {Severity[name.upper()]: number for name, number in plan.first.items()}
    return severity_counts(counts) or "nothing was found"


def _as_text(plan: Plan, verbose: bool) -> str:
    lines = [f"Plan for {quoted_name(plan.project)}", ""]
    for name, rows in _rows(plan, verbose):
        rows = [printable(row) for row in rows]
        lines += [f"{name:<14} {rows[0]}", *(f"{'':<14} {row}" for row in rows[1:])]
    return "\n".join(lines) + "\n"


def _as_markdown(plan: Plan, verbose: bool) -> str:
    lines = [f"# Plan for {quoted_name(plan.project)}", "", "| | |", "|---|---|"]
    for name, rows in _rows(plan, verbose):
        cell = "<br>".join(printable(row).replace("|", "\\|") for row in rows)
        lines.append(f"| {name} | {cell} |")
    return "\n".join(lines) + "\n"


def _as_json(plan: Plan, verbose: bool) -> str:
    """All values, also without ``--verbose``: programs read them."""
    values: dict[str, Any] = {"version": 1, **asdict(plan)}
    return json.dumps(values, indent=2) + "\n"


PLAN_FORMATS: Mapping[str, Callable[[Plan, bool], str]] = {
    "text": _as_text,
    "markdown": _as_markdown,
    "json": _as_json,
}
