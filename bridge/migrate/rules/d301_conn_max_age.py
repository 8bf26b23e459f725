"""``CONN_MAX_AGE`` other than 0: database connections that are kept for the next request.

Django keeps them for the thread they were made on. Its own ASGI handler runs the sync code of each
request on another thread, which ends: the next request finds none and opens one more. The old ones
are closed when Python's garbage collector happens to find them; under load that is too late, and
PostgreSQL refuses: "sorry, too many clients already". Through
`bridge` sync views run on long-lived threads, each with its own connection, as under gunicorn.

Before::

    DATABASES = {
        "default": {"ENGINE": "django.db.backends.postgresql", "CONN_MAX_AGE": 60},
    }

After::

    DATABASES = {
        "default": {"ENGINE": "django.db.backends.postgresql", "CONN_MAX_AGE": 0},
    }

The fix is unsafe: each request then opens a connection of its own. With Django 5.1 and psycopg,
``"OPTIONS": {"pool": True}`` keeps them in a pool instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import libcst as cst

from bridge.migrate.database import aliases, key_place, settings_path, source_of
from bridge.migrate.findings import Finding, Fix, Severity, Source, Target
from bridge.migrate.literals import UNKNOWN, evaluate
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

_HELP = 'set it to 0, with "OPTIONS": {"pool": True} on PostgreSQL, or move through bridge'


class ConnMaxAge(Rule):
    """See the module's docstring."""

    code = "D301"
    name = "conn-max-age"
    summary = "CONN_MAX_AGE is not 0: under ASGI no connection is used again, and they pile up"
    native = Severity.ERROR
    bridge = Severity.INFO
    sources = (Source.RUNTIME, Source.SOURCES)
    fix = "unsafe"

    def check_project(self, project: Project) -> Iterator[Finding]:
        databases = aliases(project)
        if not databases and project.settings.get("DATABASES") is not None:
            databases = {"default": {}}  # all of it is made by a function
        for alias, database in databases.items():
            place = key_place(project, alias, "CONN_MAX_AGE")
            is_told = source_of(project) is Source.RUNTIME and bool(database)
            value = database.get("CONN_MAX_AGE", 0) if is_told else _value(database, place)
            if value is not UNKNOWN and value != 0:
                yield self._finding(project, alias, value, place)

    def _finding(
        self,
        project: Project,
        alias: str,
        value: Any,
        place: tuple[Module, cst.BaseExpression] | None,
    ) -> Finding:
        kept = "without end" if value is None else f"for {value} s"
        message = (
            f"CONN_MAX_AGE of {alias!r} keeps connections {kept} for threads that end with their "
            "request under Django's ASGI handler: none is used again, and they pile up until the "
            "database takes no more"
        )
        source = source_of(project)
        if place is not None:
            return self.at(*place, message, _HELP, source=source, fix=_fix(project, place))
        return self.at_line(settings_path(project), 0, message, _HELP, source=source)


def _value(database: dict[str, Any], place: tuple[Module, cst.BaseExpression] | None) -> Any:
    """What it is; what it is by default, where the environment has a say."""
    value = database.get("CONN_MAX_AGE", UNKNOWN)
    if value is not UNKNOWN or place is None:
        return value
    written = evaluate(place[1])
    return _default_of(place[1]) if written is UNKNOWN else written


def _default_of(node: cst.BaseExpression) -> Any:
    """``env.int("CONN_MAX_AGE", default=60)``, ``int(os.environ.get("CONN_MAX_AGE", 60))``"""
    if not isinstance(node, cst.Call):
        return UNKNOWN
    for position, each in enumerate(node.args):
        if isinstance(each.value, cst.Call):
            return _default_of(each.value)
        named = each.keyword.value if each.keyword else None
        if named == "default" or (position == 1 and named is None):
            return _number(evaluate(each.value))
    return UNKNOWN


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isdigit() else value


def _fix(project: Project, place: tuple[Module, cst.BaseExpression]) -> Fix | None:
    """Only where it is an error: through `bridge`, connections are better kept."""
    if project.target is not Target.NATIVE:
        return None
    module, node = place
    return Fix("Set CONN_MAX_AGE to 0", (module.replace(node, "0"),), safe=False)
