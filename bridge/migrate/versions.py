"""The versions of Python and Django that a project uses.

Input: a project. Output: whether they are new enough, according to introspection or, for Django,
else to its requirements.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from bridge.migrate.project import Project
from bridge.migrate.requirements import is_requirements_text
from bridge.migrate.text import CannotRead

__all__ = ["django_is_at_least", "too_old"]

_LEAST = {"Python": (3, 11), "Django": (4, 2)}
"""The oldest versions that `bridge` supports."""

_LISTED = re.compile(r"""^[ \t"']*django[ \t]*((?:[=~<>!]=?[^"'#;\n]*))""", re.I | re.M)
_POETRY = re.compile(
    r"""^django[ \t]*=[ \t]*(?:\{[^\n]*version[ \t]*=[ \t]*)?["'](?:\^|~|==)?[ \t]*(\d+)""",
    re.I | re.M,
)
_EXACT = re.compile(r"(?:==|~=)\s*(\d+)")
_BELOW = re.compile(r"<\s*(\d+)(?:\.(\d+))?")


def too_old(project: Project) -> Iterator[tuple[str, str, str]]:
    """``("Python", "3.10.13", "3.11")`` for each version that bridge does not support.

    Nothing without introspection.
    """
    facts = project.facts
    if facts is None:
        return
    for name, version in (("Python", facts.python), ("Django", facts.django)):
        parts = tuple(int(each) for each in re.findall(r"\d+", version)[:2])
        if len(parts) == 2 and parts < _LEAST[name]:
            yield name, version, ".".join(map(str, _LEAST[name]))


def django_is_at_least(project: Project, major: int) -> bool:
    """Whether the project's Django is at least this version.

    True if the version is not known: older versions are no longer supported.

    :param major: the first part of the version.
    """
    if project.facts is not None and project.facts.django:
        found = re.match(r"\d+", project.facts.django)
        return found is None or int(found.group()) >= major
    return all(newest >= major for newest in _allowed(project))


def _allowed(project: Project) -> Iterator[int]:
    """The newest major versions that the project's requirements allow."""
    for path in project.files:
        is_text = is_requirements_text(path)
        if not is_text and path.name != "pyproject.toml":
            continue
        try:
            text = project.text_of(path).text
        except CannotRead:
            continue
        for listed in _LISTED.finditer(text):
            yield from _newest(listed.group(1))
        if not is_text:
            yield from (int(found.group(1)) for found in _POETRY.finditer(text))


def _newest(specifier: str) -> Iterator[int]:
    exact = _EXACT.search(specifier)
    if exact:
        yield int(exact.group(1))
        return
    below = _BELOW.search(specifier)
    if below:
        is_whole = int(below.group(2) or 0) == 0
        yield int(below.group(1)) - (1 if is_whole else 0)
