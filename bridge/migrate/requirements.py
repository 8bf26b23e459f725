"""Where a project lists what it depends on, and how another package gets onto the list.

What enters: a project. What leaves: edits. Read are ``requirements*.txt`` (and ``.in``), the lists
of ``pyproject.toml``, and the tables of Poetry and of a Pipfile. Lock files are not touched: they
are for the tool that made them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.migrate.findings import Edit
from bridge.migrate.module import CannotRead

if TYPE_CHECKING:
    from bridge.migrate.project import Project

__all__ = ["add_requirement", "requires"]


def requires(project: Project, name: str) -> bool:
    """Whether a package is on any list, or was found installed."""
    if project.facts is not None and name in project.facts.packages:
        return True
    return any(_line_of(text, path, name) for path, text in _lists(project))


def add_requirement(project: Project, package: str, *, beside: str) -> tuple[Edit, ...]:
    """Put a package in front of another one, wherever that is listed.

    :param package: as pip takes it, ``uvicorn[standard]``.
    :param beside: the name of a package that is listed.
    :returns: no edit where it is listed already, or the other is nowhere.
    """
    name = re.sub(r"[\[<>=~! ].*", "", package)
    return tuple(
        edit
        for path, text in _lists(project)
        if not _line_of(text, path, name)
        for edit in _in_front(path, text, package, beside)
    )


def _lists(project: Project) -> Iterator[tuple[Path, str]]:
    for path in project.files:
        is_text = path.suffix in (".txt", ".in") and "requirements" in path.as_posix()
        if is_text or path.name in ("pyproject.toml", "Pipfile"):
            try:
                yield path, project.text_of(path).text
            except CannotRead:
                continue


def _line_of(text: str, path: Path, name: str) -> re.Match[str] | None:
    """The line that lists a package: in a text file, as a string in a list, or as a key."""
    known = re.escape(name).replace(r"\-", "[-_.]")
    if path.suffix in (".txt", ".in"):
        pattern = rf"^(?P<before>){known}(?![\w.-])(?P<after>[^\n]*)\n?"
    else:
        pattern = (
            rf"^(?P<before>[^\n#]*)(?P<item>[\"']{known}(?![\w.-])[^\"'\n]*[\"'])(?P<after>[^\n]*)\n"
            rf"|^(?P<key>{known})[ \t]*=[^\n]*\n"
        )
    return re.search(pattern, text, re.MULTILINE | re.IGNORECASE)


def _in_front(path: Path, text: str, package: str, beside: str) -> Iterator[Edit]:
    found = _line_of(text, path, beside)
    if found is None:
        return
    if path.suffix in (".txt", ".in"):
        yield Edit(path, found.start(), found.start(), f"{package}\n")
    elif found.group("key") is not None:
        yield Edit(path, found.start(), found.start(), f"{_as_table_row(package)}\n")
    else:
        at = found.start("item")
        between = f"\n{found.group('before')}" if not found.group("before").strip() else " "
        yield Edit(path, at, at, f'"{package}",{between}')


def _as_table_row(package: str) -> str:
    found = re.fullmatch(r"([\w.-]+)(?:\[([^\]]*)\])?", package)
    name, extras = (found.group(1), found.group(2)) if found else (package, None)
    if extras is None:
        return f'{name} = "*"'
    items = ", ".join(f'"{each}"' for each in extras.split(","))
    return f'{name} = {{version = "*", extras = [{items}]}}'
