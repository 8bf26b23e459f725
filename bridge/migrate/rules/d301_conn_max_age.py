"""``CONN_MAX_AGE`` is not 0, so database connections are kept for the next request.

Under Django's own ASGI handler the connections pile up, until PostgreSQL refuses more of them:
"sorry, too many clients already". Django keeps a connection for the thread that opened it. Its ASGI
handler runs the sync code of each request on another thread, which ends with the request, so the
next request finds no connection and opens a new one. The old ones are closed when Python's garbage
collector happens to find them; under load that is too late.

With `bridge`, sync views run on long-lived threads with one connection each, as under gunicorn.

Before::

    DATABASES = {
        "default": {"ENGINE": "django.db.backends.postgresql", "CONN_MAX_AGE": 60},
    }

After::

    DATABASES = {
        "default": {"ENGINE": "django.db.backends.postgresql", "CONN_MAX_AGE": 0},
    }

The fix is unsafe: each request then opens its own connection. With Django 5.1 and psycopg,
``"OPTIONS": {"pool": True}`` keeps connections in a pool instead.
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

_HELP = 'set it to 0, and use "OPTIONS": {"pool": True} on PostgreSQL; or use bridge'


class ConnMaxAge(Rule):
    """See the module's docstring."""

    code = "D301"
    name = "conn-max-age"
    summary = "CONN_MAX_AGE is not 0: under ASGI connections pile up, and none is reused"
    native = Severity.ERROR
    bridge = Severity.INFO
    sources = (Source.RUNTIME, Source.SOURCES)
    fix = "unsafe"

    def is_detail(self, finding: Finding, project: Project) -> bool:
        return finding.severity(project.target) is Severity.INFO

    def check_project(self, project: Project) -> Iterator[Finding]:
        databases = aliases(project)
        if not databases and project.settings.get("DATABASES") is not None:
            databases = {"default": {}}  # the whole setting is computed
        for alias, database in databases.items():
            place = key_place(project, alias, "CONN_MAX_AGE")
            is_resolved = source_of(project) is Source.RUNTIME and bool(database)
            value = database.get("CONN_MAX_AGE", 0) if is_resolved else _value(database, place)
            if value is not UNKNOWN and value != 0:
                yield self._finding(project, alias, value, place)

    def _finding(
        self,
        project: Project,
        alias: str,
        value: Any,
        place: tuple[Module, cst.BaseExpression] | None,
    ) -> Finding:
        kept = "without limit" if value is None else f"for {value} s"
        message = (
            "under Django's ASGI handler connections pile up until the database refuses more: "
            f"CONN_MAX_AGE of {alias!r} keeps each one {kept}, for a thread that ends with its "
            "request"
        )
        source = source_of(project)
        if place is not None:
            return self.at(*place, message, _HELP, source=source, fix=_fix(project, place))
        return self.at_line(settings_path(project), 0, message, _HELP, source=source)


def _value(database: dict[str, Any], place: tuple[Module, cst.BaseExpression] | None) -> Any:
    """The value as written; the default, where the value comes from the environment."""
    value = database.get("CONN_MAX_AGE", UNKNOWN)
    if value is not UNKNOWN or place is None:
        return value
    written = evaluate(place[1])
    return _default_of(place[1]) if written is UNKNOWN else written


def _default_of(node: cst.BaseExpression) -> Any:
    """60 for ``env.int("X", default=60)`` and ``int(os.environ.get("X", 60))``."""
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
    """Only for the native target: with `bridge` it is better to keep connections."""
    if project.target is not Target.NATIVE:
        return None
    module, node = place
    return Fix("Set CONN_MAX_AGE to 0", (module.replace(node, "0"),), safe=False)
