"""The logical lines of a configuration file: continued lines joined, comments left out.

Input: a text. Output: each logical line with the number of its first line; and the assignments of
one line. Pure.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

__all__ = ["assignments", "logical_lines", "sections"]


def logical_lines(
    text: str, comments: str = "#", *, joins: bool = True
) -> Iterator[tuple[int, str]]:
    """The lines that are not empty, stripped, with their numbers from 1.

    :param comments: the characters that begin a comment, at the start of a line.
    :param joins: whether a backslash at the end of a line continues it.
    """
    first, parts = 0, list[str]()
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if stripped[:1] and stripped[0] in comments:
            continue
        if not parts:
            first = number
        if joins and stripped.endswith("\\"):
            parts.append(stripped[:-1].rstrip())
            continue
        whole = " ".join(each for each in (*parts, stripped) if each)
        parts = []
        if whole:
            yield first, whole
    if parts:
        yield first, " ".join(parts)


def sections(
    text: str, comments: str = "#;", *, joins: bool = True
) -> Iterator[tuple[str, int, str]]:
    """The lines of a file with ``[sections]``: the section's name, the line's number, and its text.

    A section's own line has an empty text.
    """
    section = ""
    for number, line in logical_lines(text, comments, joins=joins):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
            yield section, number, ""
        else:
            yield section, number, line


def assignments(text: str) -> Iterator[tuple[str, str]]:
    """The names and values in ``A=1 "B=2 3"``, quoted as in a shell."""
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            yield name, value
