"""``--limit`` and ``--reserve`` of ``bridge run``: how many threads a path may use. Pure.

Input: ``/reports=8`` or ``/reports=8:50``, and ``/healthz``. Output: the option ``limits`` of the
adapter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from bridge._http.prefixes import normal_prefix
from bridge.config import Limit
from bridge.errors import ConfigError

__all__ = ["read_limits"]

_LIMIT = re.compile(r"(?P<path>/[^=]*)=(?P<threads>[1-9][0-9]*)(:(?P<backlog>[1-9][0-9]*))?")


def read_limits(limits: Iterable[str], reserved: Iterable[str]) -> dict[str, Limit]:
    """The limits by path.

    :raises ConfigError: one cannot be read, or a path is there twice.
    """
    found: dict[str, Limit] = {}
    for text in limits:
        match = _LIMIT.fullmatch(text)
        if match is None:
            takes = "PATH=THREADS or PATH=THREADS:BACKLOG, such as /reports=8:50"
            raise ConfigError("--limit", text, takes)
        backlog = int(match["backlog"] or Limit.backlog)
        limit = Limit(threads=int(match["threads"]), backlog=backlog)
        _add(found, "--limit", match["path"], limit)
    for path in reserved:
        _add(found, "--reserve", path, Limit(threads=1, reserved=True))
    return found


def _add(found: dict[str, Limit], option: str, path: str, limit: Limit) -> None:
    prefix = normal_prefix(path, option) or "/"
    if prefix in found:
        raise ConfigError(option, path, f"each path once: {prefix} has a limit already")
    found[prefix] = limit
