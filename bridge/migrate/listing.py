"""An inventory as plain values, for the output of ``bridge migrate plan``.

Input: an :class:`~bridge.migrate.inventory.Inventory`. Output: dictionaries, without passwords.
"""

from __future__ import annotations

import re
from typing import Any

from bridge.migrate.deploy.records import Option
from bridge.migrate.display import LOGIN, SECRET
from bridge.migrate.inventory import Item
from bridge.migrate.project import Project

__all__ = ["listed"]


def listed(project: Project, item: Item) -> dict[str, Any]:
    """An item of the inventory as plain values.

    ``default`` is the value in the default case: None if only the running deployment knows it.
    """
    option, row = item.option, item.row
    default = option.default
    return {
        "group": row.group.value,
        "topic": row.topic,
        "process": item.process,
        "source": option.source,
        "option": option.name,
        "written": option.shown,
        "value": _hidden(option, option.raw or ("" if default is None else default)),
        "default": _hidden(option, default),
        "file": project.relative(option.path),
        "line": option.line,
        "condition": option.condition,
        "applies": option.applies,
        "why": row.why,
        "instead": row.instead,
        "stops": item.stops,
        "stays": item.stays,
    }


_ASSIGNED = re.compile(rf"(\w*(?:{SECRET.pattern})\w*)=(\"[^\"]*\"|'[^']*'|\S+)", re.IGNORECASE)


def _hidden(option: Option, value: Any) -> Any:
    """The value without what may be a password."""
    name = option.name
    if isinstance(value, str) and option.name in ("env", "raw_env") and "=" in value:
        name = value.partition("=")[0]
        prefix = f"{name}="
    else:
        prefix = ""
    if isinstance(value, str):
        value = _ASSIGNED.sub(r"\1=...", value)
    is_variable = option.source == "environment" or prefix
    if is_variable and SECRET.search(name) and value:
        return f"{prefix}..."
    return LOGIN.sub("...", value) if isinstance(value, str) else value
