"""What the user chose: ``[tool.bridge.migrate]`` in ``pyproject.toml``, below the command line.

What enters: a folder, and the options that were given. What leaves: a :class:`Choices`, complete
and valid. ::

    [tool.bridge.migrate]
    target = "bridge"               # bridge, native or auto
    settings = "mysite.settings"
    python = ".venv/bin/python"     # relative to this file
    introspect = true
    introspect-timeout-s = 60
    select = ["E", "M202"]
    ignore = ["T601"]
    exclude = ["docs/*", "*/testdata"]
    fail-level = "error"            # critical, error, warning, info or never
    baseline = "bridge-baseline.json"
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from bridge.errors import MigrationError
from bridge.migrate.findings import Severity
from bridge.migrate.introspect import DEFAULT_TIMEOUT_S
from bridge.migrate.rule import all_rules

__all__ = ["FAIL_LEVELS", "TARGETS", "Choices", "choices"]

TARGETS = ("auto", "bridge", "native")
FAIL_LEVELS = ("critical", "error", "warning", "info", "never")


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What to check, and how.

    :ivar python: the project's interpreter; None to look for it.
    :ivar select: the codes of rules, or how they start; empty for all.
    :ivar exclude: patterns of files to leave out, relative to the project's folder.
    :ivar fail_level: the least severity to fail for.
    :ivar baseline: a file of findings to leave out.
    """

    target: str = "auto"
    settings: str | None = None
    python: Path | None = None
    introspect: bool = True
    introspect_timeout_s: float = DEFAULT_TIMEOUT_S
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    fail_level: str = "error"
    baseline: Path | None = None

    def fails(self, severity: Severity) -> bool:
        """Whether a finding of this severity is to fail the command."""
        return self.fail_level != "never" and severity >= Severity[self.fail_level.upper()]


def choices(folder: Path, given: Mapping[str, Any]) -> Choices:
    """What the configuration says, and above it what the command line does.

    :param folder: the project's; ``pyproject.toml`` is looked for there and above it.
    :param given: fields of :class:`Choices`; None for what was not given.
    :raises MigrationError: a key or value makes no sense. Says which, and what it takes.
    """
    file = _pyproject(folder.absolute())
    chosen = _from_file(file) if file is not None else Choices()
    chosen = replace(chosen, **{key: value for key, value in given.items() if value is not None})
    _check(chosen)
    return chosen


def _pyproject(folder: Path) -> Path | None:
    for each in (folder, *folder.parents):
        if (each / "pyproject.toml").is_file():
            return each / "pyproject.toml"
        if (each / ".git").exists():
            return None
    return None


def _from_file(file: Path) -> Choices:
    try:
        table = tomllib.loads(file.read_text("utf-8")).get("tool", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MigrationError(f"{file}: {error}") from None
    values = table.get("bridge", {}).get("migrate", {})
    known = {each.name.replace("_", "-"): each.name for each in fields(Choices)}
    converted: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            raise MigrationError(
                f"{file}: [tool.bridge.migrate] has no key {key!r}; it takes {', '.join(known)}"
            )
        converted[known[key]] = _converted(file, key, value)
    return Choices(**converted)


_TYPES: dict[str, tuple[type, ...]] = {
    "introspect": (bool,),
    "introspect-timeout-s": (int, float),
    "select": (list,),
    "ignore": (list,),
    "exclude": (list,),
}


def _converted(file: Path, key: str, value: Any) -> Any:
    expected = _TYPES.get(key, (str,))
    if not isinstance(value, expected) or (isinstance(value, bool) and expected != (bool,)):
        names = " or ".join(each.__name__ for each in expected)
        raise MigrationError(f"{file}: {key} = {value!r}: takes a {names}")
    if isinstance(value, list):
        return tuple(str(each) for each in value)
    return file.parent / str(value) if key in ("python", "baseline") else value


def _check(chosen: Choices) -> None:
    for name, value, allowed in (
        ("target", chosen.target, TARGETS),
        ("fail-level", chosen.fail_level, FAIL_LEVELS),
    ):
        if value not in allowed:
            raise MigrationError(f"{name} = {value!r}: takes {', '.join(allowed)}")
    if chosen.introspect_timeout_s <= 0:
        raise MigrationError(
            f"introspect-timeout-s = {chosen.introspect_timeout_s}: takes seconds, more than 0"
        )
    codes = [rule.code for rule in all_rules()]
    for option in (*chosen.select, *chosen.ignore):
        if not any(code.startswith(option) for code in codes) or not option:
            raise MigrationError(
                f"there is no rule {option!r}; `bridge migrate explain` lists them all"
            )
