"""Parses the code blocks of a page.

Input: the text of a Markdown file. Output: a :class:`Block` for each fenced block, in order. Pure.

An HTML comment right above a block is a note on it, visible only in the source of the page::

    <!-- not run: it needs a database -->   (the block is not run, for this reason)
    <!-- path: /report.csv -->              (request this path from the app, instead of /)
    <!-- file: main.py -->                  (a caption, for pages that are shown without Sphinx)
    <!-- fails -->                          (the commands of the block must fail)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Block", "blocks_of", "pages"]

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"(?P<indent> *)(?P<marks>`{3,})(?P<info>[^`]*)")
_INFO = re.compile(r"(?:\{code-block\}\s*)?(?P<language>[\w+-]*)")
_OPTION = re.compile(r":(?P<name>[\w-]+):\s*(?P<value>.*)")
_NOTE = re.compile(r"<!--\s*(?P<name>[a-z ]+?)(?::\s*(?P<value>.*?))?\s*-->")


@dataclass(frozen=True)
class Block:
    """One fenced block.

    :ivar language: as in the fence; for ``{code-block} python`` it is ``python``.
    :ivar line: the number of its first line of code, from 1.
    :ivar caption: the name of the file, if the block is one.
    :ivar notes: the comments above it: text before the colon -> text after it.
    """

    language: str
    code: str
    line: int
    caption: str | None = None
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_run(self) -> bool:
        return "not run" not in self.notes


def pages() -> list[Path]:
    """Every page whose code is run: the documentation and the README."""
    found = sorted((ROOT / "docs").rglob("*.md"))
    return [ROOT / "README.md", *(page for page in found if "_build" not in page.parts)]


def blocks_of(text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page, in order.

    :raises ValueError: a block is not closed.
    """
    lines = text.splitlines()
    notes: dict[str, str] = {}
    number = 0
    while number < len(lines):
        fence = _FENCE.fullmatch(lines[number])
        if fence is not None:
            end = _end_of(fence, lines, number)
            yield _block(fence, lines, number, end, notes)
            number, notes = end, {}
        elif note := _NOTE.fullmatch(lines[number].strip()):
            notes[note["name"]] = note["value"] or ""
        elif lines[number].strip():
            notes = {}
        number += 1


def _end_of(fence: re.Match[str], lines: list[str], start: int) -> int:
    for number in range(start + 1, len(lines)):
        if re.fullmatch(rf" *{fence['marks']}`*\s*", lines[number]):
            return number
    raise ValueError(f"line {start + 1}: this block is not closed")


def _block(
    fence: re.Match[str], lines: list[str], start: int, end: int, notes: Mapping[str, str]
) -> Block:
    info = _INFO.match(fence["info"].strip())
    is_directive = fence["info"].strip().startswith("{")
    options: dict[str, str] = {}
    first = start + 1
    while is_directive and first < end and (option := _OPTION.fullmatch(lines[first].strip())):
        options[option["name"]] = option["value"]
        first += 1
    while is_directive and first < end and not lines[first].strip():
        first += 1
    indent = len(fence["indent"])
    code = "".join(f"{line[indent:]}\n" for line in lines[first:end])
    language = info["language"] if info else ""
    return Block(language, code, first + 1, options.get("caption", notes.get("file")), notes)
