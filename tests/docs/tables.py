"""Reads the tables of a page.

Input: the text of a Markdown file. Output: the cells of each table, by the heading above it. Pure.
"""

from __future__ import annotations

import re

__all__ = ["tables_of"]

_HEADING = re.compile(r"#+ (.+)")
_SEPARATOR = re.compile(r"[|\s:-]+")


def tables_of(text: str) -> dict[str, dict[str, list[str]]]:
    """Heading -> first cell of each row -> the other cells. Several tables of a heading are one.

    The rows of a table's head are among them.
    """
    heading = ""
    found: dict[str, dict[str, list[str]]] = {}
    for line in text.splitlines():
        if match := _HEADING.fullmatch(line):
            heading = match[1]
        elif line.startswith("|") and not _SEPARATOR.fullmatch(line):
            first, *rest = (cell.strip() for cell in line.strip("|").split("|"))
            found.setdefault(heading, {})[first] = rest
    return found
