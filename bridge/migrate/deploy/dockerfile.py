"""Dockerfiles: the stages, and what each sets for the process that it runs.

Input: a path and its text. Output: a :class:`~bridge.migrate.deploy.records.Part` for each stage.
Pure. The last stage is built by default, with those that it is built from; the other stages do not
apply.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from bridge.migrate.deploy.expansion import conditions_in, expand
from bridge.migrate.deploy.lines import assignments, logical_lines
from bridge.migrate.deploy.records import Option, Part

__all__ = ["dockerfile_parts"]

_KEPT = frozenset(
    {"USER", "WORKDIR", "EXPOSE", "VOLUME", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
)
"""The instructions that configure the process; the others build the image."""


class _Stage:
    def __init__(self, name: str, base: str, first: int) -> None:
        self.name, self.base, self.first = name, base, first
        self.options: list[Option] = []
        self.variables: list[Option] = []


def dockerfile_parts(path: Path, text: str) -> Iterator[Part]:
    """The stages of a Dockerfile."""
    stages: list[_Stage] = []
    values: dict[str, str | None] = {}
    for line, content in logical_lines(text):
        instruction, _, rest = content.partition(" ")
        instruction, rest = instruction.upper(), rest.strip()
        if instruction == "FROM":
            found = re.search(r"\s+as\s+(\S+)", rest, re.IGNORECASE)
            base = next((each for each in rest.split() if not each.startswith("--")), "")
            stages.append(_Stage(found.group(1) if found else "", base, line))
            continue
        if instruction == "ARG":
            for name, value in _assignments(rest):
                values[name] = expand(value, values)
        if not stages:
            continue
        stage = stages[-1]
        if instruction == "ENV":
            for name, value in _assignments(rest):
                option = _option(path, line, name, value, values, "environment", "ENV")
                stage.variables.append(option)
                values[name] = option.default
        elif instruction in _KEPT:
            stage.options.append(_option(path, line, instruction, rest, values))
    lines = text.count("\n") + 1
    used = _used(stages)
    for position, stage in enumerate(stages):
        last = stages[position + 1].first - 1 if position + 1 < len(stages) else lines
        name = f"stage {stage.name}" if stage.name else f"stage {position + 1}"
        yield Part(
            "dockerfile",
            name if len(stages) > 1 else path.name,
            path,
            stage.first,
            last,
            tuple(stage.options),
            tuple(stage.variables),
            applies=stage in used,
        )


def _used(stages: list[_Stage]) -> list[_Stage]:
    """The last stage, and those that it is built from."""
    used = stages[-1:]
    for stage in reversed(stages[:-1]):
        if used and used[-1].base.lower() == stage.name.lower() != "":
            used.append(stage)
    return used


def _assignments(rest: str) -> Iterator[tuple[str, str]]:
    """``A=1 B="2 3"``, or ``A the rest of the line``."""
    first = rest.split(maxsplit=1)
    if first and "=" not in first[0]:
        if len(first) > 1:
            yield first[0], first[1]
        return
    yield from assignments(rest)


def _option(
    path: Path,
    line: int,
    name: str,
    raw: str,
    values: dict[str, str | None],
    source: str = "dockerfile",
    shown: str = "",
) -> Option:
    default = raw if name in ("CMD", "ENTRYPOINT", "HEALTHCHECK") else expand(raw, values)
    condition = conditions_in(raw) if default is not raw else ""
    return Option(
        name,
        shown or name,
        raw,
        path,
        line,
        source=source,
        default=default,
        raw=raw,
        condition=condition,
    )
