"""The environment variables that a deployment sets, and where.

Input: the parts of its files. Output: the value of each variable in the default case. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bridge.migrate.deploy.records import Option, Part, StartCommand

__all__ = ["conditions_for", "environment_of", "variables_for", "variables_named"]


def environment_of(parts: Iterable[Part]) -> dict[str, str | None]:
    """The variables of all parts. One that several places set differently is None: not known.

    One that only a file such as ``.env`` sets is absent, if no other file names that file: tools
    for development load it, and nothing says that the deployment does.
    """
    parts = list(parts)
    loaded = {Path(each.value).name for part in parts for each in part.env_files if each.value}
    values: dict[str, str | None] = {}
    for part in parts:
        if part.source == "env" and part.path.name not in loaded:
            continue
        for name, value in _of_part(part).items():
            values[name] = value if values.get(name, value) == value else None
    return values


def variables_for(parts: Sequence[Part], command: StartCommand) -> dict[str, str | None]:
    """The variables that a command sees: its own override those of its part, and these others."""
    own = {option.name: option.default for option in command.variables}
    return {**_variables_at(parts, command.path, command.line), **own}


def _variables_at(parts: Sequence[Part], path: Path, line: int) -> dict[str, str | None]:
    own = [part for part in parts if part.path == path and part.first <= line <= part.last]
    values = environment_of(part for part in parts if part not in own)
    for part in own:
        values.update(_of_part(part, line))
    return values


def conditions_for(parts: Iterable[Part], path: Path, line: int) -> dict[str, str]:
    """What the variables that are set before a line of a script depend on."""
    return {
        option.name: option.condition
        for part in parts
        if part.source == "shell" and part.path == path
        for option in part.variables
        if option.condition and option.line <= line
    }


def variables_named(parts: Iterable[Part], name: str) -> Iterator[tuple[Part, Option]]:
    """Where one variable is set, by parts that are used."""
    for part in parts:
        for option in part.variables if part.applies is not False else ():
            if option.name == name and option.applies is not False:
                yield part, option


def _of_part(part: Part, before: int | None = None) -> dict[str, str | None]:
    """The variables of one part; of a script, those that are set before a line."""
    is_script = part.source == "shell" and before is not None
    values: dict[str, str | None] = {}
    for option in part.variables if part.applies is not False else ():
        if option.applies is not False and not (is_script and option.line > (before or 0)):
            values[option.name] = option.default
    return values
