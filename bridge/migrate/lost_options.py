"""The options of the old deployment that have no counterpart, as findings report them.

Input: a project. Output: the items of its inventory that are to be done by hand, grouped by what
there is to do, and the texts and the severity of a group.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from bridge.migrate.deploy.tables.rows import Group
from bridge.migrate.findings import Severity
from bridge.migrate.inventory import Item, inventory_of
from bridge.migrate.static_maps import STATIC_MAPS
from bridge.migrate.wsgi_servers import not_started

if TYPE_CHECKING:
    from bridge.migrate.deploy.records import Option
    from bridge.migrate.project import Project

__all__ = [
    "REQUEST_LIMITS",
    "grouped",
    "is_extra",
    "lines_of",
    "lost_items",
    "lost_severity",
    "named",
    "text_of",
]

REQUEST_LIMITS = frozenset(
    {
        *("limit_request_line", "limit_request_fields", "limit_request_field_size"),
        *("buffer-size", "limit-post", "LimitRequestBody", "LimitRequestLine"),
        *("limit-request-body", "max-request-body-size", "max-request-header-size"),
    }
)
"""Options that limit the size of a request."""

_TOPICS = frozenset(
    {"hook", "daemon", "cron", "cache", "static", "rewrite", "websocket", "workers", "threads"}
)
"""What uwsgi does besides serving."""

_ONE_BY_ONE = frozenset({"hook", "daemon", "cron"})
"""What is reported line by line: each is another program."""


def lost_items(project: Project) -> list[Item]:
    """The items without a counterpart that apply in the default case."""
    items = inventory_of(project).in_group(Group.BY_HAND)
    return [item for item in items if item.option.applies is not False]


def lost_severity(project: Project, item: Item) -> tuple[Severity, Severity] | None:
    """Of an option without a counterpart; None for the severity of its rule."""
    if item.option.path in not_started(project):
        return (Severity.INFO, Severity.INFO)
    return (Severity.ERROR, Severity.ERROR) if item.stops else None


def grouped(items: Iterable[Item]) -> list[list[Item]]:
    """Those of one file about which the same is to be done: they need one finding."""
    groups: dict[tuple[object, ...], list[Item]] = {}
    for item in items:
        option, row = item.option, item.row
        key: tuple[object, ...] = (option.path, row.topic, row.why, row.instead)
        if row.topic in _ONE_BY_ONE:
            key = (*key, option.line)
        elif option.name in STATIC_MAPS:
            key = (*key, option.name, text_of(option).partition("=")[0].strip("/"))
        groups.setdefault(key, []).append(item)
    return list(groups.values())


def named(group: Sequence[Item], verb: str = "work") -> str:
    """The options of a group, with a verb, as ``uid and gid (line 15) work``."""
    names = list(dict.fromkeys(item.label for item in group))
    listed = ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1]
    is_one = len(names) == 1
    ending = {"work": "works", "have": "has"}[verb] if is_one else verb
    return f"{listed}{lines_of(group)} {ending}"


def lines_of(group: Sequence[Item]) -> str:
    """Where the other options of a group are: the finding is at the first."""
    more = list(dict.fromkeys(str(item.option.line) for item in group[1:]))
    more = [line for line in more if line != str(group[0].option.line)]
    return f" (also line{'s' if len(more) > 1 else ''} {', '.join(more)})" if more else ""


def text_of(option: Option) -> str:
    """The value of the default case, else what is written."""
    return option.default if isinstance(option.default, str) else option.raw


def is_extra(item: Item) -> bool:
    """Whether an item is a feature of uwsgi besides serving."""
    return item.option.source == "uwsgi" and item.row.topic in _TOPICS
