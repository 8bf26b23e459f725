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


_PROCESSES = frozenset({"compose", "kubernetes", "systemd", "supervisor"})
"""The sources whose parts are processes, each with an environment of its own."""
_FILES_WIN = frozenset({"systemd"})
"""The sources in which a file of variables overrides those beside its name."""


def _variables_at(parts: Sequence[Part], path: Path, line: int) -> dict[str, str | None]:
    """The variables that a command at this place sees.

    Those of other processes count only where nothing else sets them. A command of an image or a
    script is run by the services that have no command of their own.
    """
    own = [part for part in parts if part.contains(path, line)]
    names = {part.name for part in own}
    beside = [part for part in parts if part.source in _PROCESSES and part.name not in names]
    beside = [part for part in beside if part.name != "supervisord"]
    runners = [] if any(each.source in _PROCESSES for each in own) else [*_runners(beside, path)]
    apart = [part for part in beside if part not in runners]
    shared = [part for part in parts if part not in (*own, *beside)]
    values = {**environment_of(apart), **environment_of(shared)}
    for part in own:
        values.update(_with_files(part, parts, line))
    called: dict[str, str | None] = {}
    for part in runners:
        for name, value in _with_files(part, parts).items():
            called[name] = value if called.get(name, value) == value else None
    return {**values, **called}


def _runners(parts: Iterable[Part], path: Path) -> Iterator[Part]:
    """The processes that run the command of a Dockerfile, or a script that they name."""
    for part in parts:
        runs = [each.raw for each in part.options if each.name in ("command", "entrypoint", "args")]
        is_service = part.source in ("compose", "kubernetes")
        if (is_service and not runs) or any(path.name in each for each in runs):
            yield part


def _with_files(
    part: Part, parts: Sequence[Part], before: int | None = None
) -> dict[str, str | None]:
    """The variables of a part, with those of the files that it names."""
    found: dict[str, str | None] = {}
    for option in part.env_files:
        for each in _named(str(option.value), part, parts):
            found.update(_of_part(each))
    own = _of_part(part, before)
    return {**own, **found} if part.source in _FILES_WIN else {**found, **own}


def _named(name: str, part: Part, parts: Iterable[Part]) -> list[Part]:
    """The file of variables, or the ConfigMap, that a part names; on a server, it may be copied."""
    if part.source == "kubernetes":
        return [each for each in parts if each.source == "configmap" and each.name == name]
    path = Path(name.removeprefix("-"))
    files = [each for each in parts if each.source == "env" and each.path.name == path.name]
    beside = part.path.parent / path
    return [each for each in files if each.path == beside] or files


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
