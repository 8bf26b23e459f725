"""The types of the tables of options, and the rows that several of them have.

A table is a list of rows, each with the names of the options that it is about, separated by spaces.
A name that ends with ``!`` is a switch, which takes no argument; with ``?``, its argument is
optional; with ``*``, it stands for all names that begin so. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

__all__ = [
    "LOG",
    "NOT_UNDERSTOOD",
    "SIGNAL",
    "STATISTICS",
    "TIMEOUT",
    "USER",
    "Group",
    "Row",
    "Table",
    "by_hand",
    "carried",
    "not_needed",
    "stays",
    "timeout",
]


class Group(StrEnum):
    """What becomes of an option in the move."""

    CARRIED = "carried"
    """By the start command that ``fix`` writes, or because its file stays as it is."""
    BY_HAND = "by-hand"
    """Has no counterpart: something has to be done instead."""
    NOT_NEEDED = "not-needed"
    """Has no effect in the new server, or is the default there."""
    NOT_UNDERSTOOD = "not-understood"
    """Not in the table, or a line that cannot be read."""


@dataclass(frozen=True)
class Row:
    """What becomes of one option.

    :ivar topic: what it is about: ``bind``, ``workers``, ``hook`` and so on.
    :ivar why: where it is carried to, why it has no counterpart, or why it is not needed.
    :ivar instead: what to do, in the imperative; empty unless the group is BY_HAND.
    :ivar stops: whether something would stop working if it were dropped. Then no start command is
        replaced, unless the option is accepted.
    :ivar key: the option of the new server, as a key of
        :data:`~bridge.migrate.destination.UVICORN_FLAGS`; empty if it stays in its file.
    """

    topic: str
    group: Group
    why: str = ""
    instead: str = ""
    stops: bool = False
    key: str = ""


NOT_UNDERSTOOD = Row("other", Group.NOT_UNDERSTOOD, "it is not in the table of options", stops=True)


def carried(topic: str, key: str, why: str = "") -> Row:
    """An option that becomes one of the new server."""
    return Row(topic, Group.CARRIED, why, key=key)


def stays(topic: str, why: str = "") -> Row:
    """A directive around the start command, whose file stays as it is."""
    return Row(topic, Group.CARRIED, why)


def by_hand(topic: str, why: str, instead: str, *, stops: bool = False) -> Row:
    """An option without a counterpart."""
    return Row(topic, Group.BY_HAND, why, instead, stops)


def not_needed(topic: str, why: str) -> Row:
    """An option that the new server does without."""
    return Row(topic, Group.NOT_NEEDED, why)


LOG = by_hand(
    "log",
    "uvicorn logs to stdout and stderr, in its own format",
    "use uvicorn --log-config, or redirect its output",
)
SIGNAL = by_hand(
    "timeout",
    "uvicorn stops gracefully on SIGTERM and SIGINT only; on others it ends at once, or goes on",
    "use SIGTERM, which is the default",
)
STATISTICS = by_hand("log", "uvicorn sends no statistics", "measure in the app, or at the proxy")


def timeout(of_proxy: str) -> Row:
    """A limit on the time of a request.

    :param of_proxy: the option of the proxy in front that limits it.
    """
    return by_hand(
        "timeout",
        "no ASGI server ends a request that takes too long",
        "set request_timeout_s of bridge's adapter (504, and another thread), and a timeout for "
        "each wait: the database's statement_timeout, the HTTP client's timeout, the proxy's "
        f"{of_proxy}",
    )


TIMEOUT = timeout("proxy_read_timeout")
USER = by_hand(
    "user",
    "uvicorn cannot change to another user: it would run as the one that starts it",
    "start it as that user: User= of systemd, user= of supervisor",
    stops=True,
)


@dataclass(frozen=True)
class Table:
    """The options of one source.

    :ivar rows: by name.
    :ivar switches: the names of those that take no argument.
    :ivar families: rows by the beginning of a name, for directives of a common kind.
    """

    rows: Mapping[str, Row]
    switches: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    families: Mapping[str, Row] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[tuple[Row, str]]) -> Table:
        """The table of these rows and names.

        :raises ValueError: two rows have the same name.
        """
        found: dict[str, Row] = {}
        switches: set[str] = set()
        optional: set[str] = set()
        families: dict[str, Row] = {}
        for row, names in rows:
            for written in names.split():
                name = written.rstrip("!?*")
                into = families if written.endswith("*") else found
                if name in into:
                    raise ValueError(f"two rows are about {name!r}")
                into[name] = row
                if written.endswith("!"):
                    switches.add(name)
                if written.endswith("?"):
                    optional.add(name)
        return cls(found, frozenset(switches), frozenset(optional), families)

    def row(self, name: str) -> Row:
        """The row of an option; :data:`NOT_UNDERSTOOD` if there is none."""
        found = self.rows.get(name)
        if found is None:
            matching = [prefix for prefix in self.families if name.startswith(prefix)]
            found = self.families[max(matching, key=len)] if matching else None
        return found if found is not None and re.search(r"\S", name) else NOT_UNDERSTOOD

    def with_why(self, why: str) -> Table:
        """The same table, with a text for the rows that have none."""
        rows = {name: row if row.why else replace(row, why=why) for name, row in self.rows.items()}
        families = {
            name: row if row.why else replace(row, why=why) for name, row in self.families.items()
        }
        return replace(self, rows=rows, families=families)
