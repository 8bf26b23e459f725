"""The options of ``bridge migrate``: the command line over ``[tool.bridge.migrate]``.

Input: a folder, and the options of the command line. Output: valid :class:`Options`. The table in
``pyproject.toml``::

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
    accept = ["attach-daemon"]      # may be dropped, although something stops working
    requirement = "wsgi-asgi-bridge @ git+https://..."
    verbose = false                 # also show findings that change nothing
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
from bridge.migrate.requirements import OWN_PACKAGE, is_own_requirement
from bridge.migrate.rule import all_rules

__all__ = ["FAIL_LEVELS", "TARGETS", "Options", "read_options"]

TARGETS = ("auto", "bridge", "native")
FAIL_LEVELS = ("critical", "error", "warning", "info", "never")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to check, and how.

    :ivar settings: the settings module; None for the default of ``manage.py``.
    :ivar python: the project's interpreter; None to search for it.
    :ivar select: rule codes, or prefixes of them; empty for all.
    :ivar ignore: the same, for rules to skip.
    :ivar exclude: patterns of files to skip, relative to the project's folder.
    :ivar fail_level: the lowest severity that fails the command.
    :ivar baseline: a file of findings to ignore.
    :ivar accept: the options of the old server that the new one may go without.
    :ivar requirement: how `bridge` is listed as a requirement; None for its name alone.
    :ivar verbose: whether findings that change nothing for the project are reported, too.
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
    requirement: str | None = None
    accept: tuple[str, ...] = ()
    verbose: bool = False

    def fails(self, severity: Severity) -> bool:
        """Whether a finding of this severity fails the command."""
        return self.fail_level != "never" and severity >= Severity[self.fail_level.upper()]


def read_options(folder: Path, given: Mapping[str, Any]) -> Options:
    """The options of the configuration file, overridden by those of the command line.

    :param folder: the project's; ``pyproject.toml`` is looked for there and in its parents.
    :param given: fields of :class:`Options`, None if not given; ``select`` and ``ignore`` may be
        text, as in ``"M,M202"``.
    :raises MigrationError: a key or value is invalid. The message names it and what is allowed.
    """
    file = _pyproject(folder.absolute())
    options = _from_file(file) if file is not None else Options()
    changes = {key: value for key, value in given.items() if value is not None}
    for key in ("select", "ignore"):
        if isinstance(changes.get(key), str):
            changes[key] = _codes(changes[key])
    if "accept" in changes:
        changes["accept"] = tuple(each.lstrip("-") for each in changes["accept"])
    options = replace(options, **changes)
    _check(options)
    return options


def _codes(text: str) -> tuple[str, ...]:
    return tuple(code.strip().upper() for code in text.split(",") if code.strip())


def _pyproject(folder: Path) -> Path | None:
    for each in (folder, *folder.parents):
        if (each / "pyproject.toml").is_file():
            return each / "pyproject.toml"
        if (each / ".git").exists():
            return None
    return None


def _from_file(file: Path) -> Options:
    try:
        table = tomllib.loads(file.read_text("utf-8")).get("tool", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MigrationError(f"{file}: {error}") from None
    values = table.get("bridge", {}).get("migrate", {})
    names = {each.name.replace("_", "-"): each.name for each in fields(Options)}
    converted: dict[str, Any] = {}
    for key, value in values.items():
        if key not in names:
            raise MigrationError(
                f"{file}: [tool.bridge.migrate] has no key {key!r}; the keys are {', '.join(names)}"
            )
        converted[names[key]] = _converted(file, key, value)
    return Options(**converted)


_TYPES: dict[str, tuple[type, ...]] = {
    "introspect": (bool,),
    "verbose": (bool,),
    "introspect-timeout-s": (int, float),
    "select": (list,),
    "ignore": (list,),
    "exclude": (list,),
    "accept": (list,),
}


def _converted(file: Path, key: str, value: Any) -> Any:
    expected = _TYPES.get(key, (str,))
    if not isinstance(value, expected) or (isinstance(value, bool) and expected != (bool,)):
        names = " or ".join(each.__name__ for each in expected)
        raise MigrationError(f"{file}: {key} = {value!r}: must be a {names}")
    if isinstance(value, list):
        return tuple(str(each) for each in value)
    return file.parent / str(value) if key in ("python", "baseline") else value


def _check(options: Options) -> None:
    for name, value, allowed in (
        ("target", options.target, TARGETS),
        ("fail-level", options.fail_level, FAIL_LEVELS),
    ):
        if value not in allowed:
            raise MigrationError(f"{name} = {value!r}: must be one of {', '.join(allowed)}")
    if options.introspect_timeout_s <= 0:
        raise MigrationError(
            f"introspect-timeout-s = {options.introspect_timeout_s}: must be more than 0 seconds"
        )
    if options.requirement is not None and not is_own_requirement(options.requirement):
        raise MigrationError(
            f"requirement = {options.requirement!r}: must be a requirement of {OWN_PACKAGE}, such "
            f"as '{OWN_PACKAGE}>=1' or '{OWN_PACKAGE} @ https://...'"
        )
    codes = [rule.code for rule in all_rules()]
    for prefix in (*options.select, *options.ignore):
        if not any(code.startswith(prefix) for code in codes) or not prefix:
            raise MigrationError(f"no rule {prefix!r}; `bridge migrate explain` lists all rules")
