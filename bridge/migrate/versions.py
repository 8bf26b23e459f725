"""Which Django a project has, as far as that can be told.

What enters: a project. What leaves: whether it is new enough for something. The running project
says so itself; else the lists of what it needs do, where they name a version.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from bridge.migrate.project import Project
from bridge.migrate.requirements import is_requirements_text
from bridge.migrate.text import CannotRead

__all__ = ["django_is_at_least"]

_LISTED = re.compile(r"""^[ \t"']*django[ \t]*((?:[=~<>!]=?[^"'#;\n]*))""", re.I | re.M)
_POETRY = re.compile(
    r"""^django[ \t]*=[ \t]*(?:\{[^\n]*version[ \t]*=[ \t]*)?["'](?:\^|~|==)?[ \t]*(\d+)""",
    re.I | re.M,
)
_EXACT = re.compile(r"(?:==|~=)\s*(\d+)")
_BELOW = re.compile(r"<\s*(\d+)(?:\.(\d+))?")


def django_is_at_least(project: Project, major: int) -> bool:
    """Whether it is that new. Where nothing says so, it is: older ones are not supported any more.

    :param major: the first part of the version.
    """
    if project.facts is not None and project.facts.django:
        found = re.match(r"\d+", project.facts.django)
        return found is None or int(found.group()) >= major
    return all(most >= major for most in _listed(project))


def _listed(project: Project) -> Iterator[int]:
    """The newest major versions that the project's lists let in."""
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


def _newest(wanted: str) -> Iterator[int]:
    exact = _EXACT.search(wanted)
    if exact:
        yield int(exact.group(1))
        return
    below = _BELOW.search(wanted)
    if below:
        is_whole = int(below.group(2) or 0) == 0
        yield int(below.group(1)) - (1 if is_whole else 0)
