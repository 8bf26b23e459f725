"""The keys and strings of a TOML file, with their offsets.

Input: the text of a file. Output: an :class:`Item` for each table, each key and each string in an
array, in source order. ``tomllib`` validates the text and decodes strings, but reports no offsets.
Pure.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Item", "items", "syntax_error"]

_TOKEN = re.compile(
    r"""
    (?P<comment> \#[^\n]* )
  | (?P<string> \"\"\"(?:\\.|[^\\])*?\"{3,5} | '''.*?'{3,5} | "(?:\\.|[^"\\\n])*" | '[^'\n]*' )
  | (?P<bare> [^\s\[\]{}=,"'\#]+ )
  | (?P<mark> [\[\]{}=,\n] )
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Item:
    """One table, key or string.

    :ivar table: the keys of the table that contains it or, for a table header, of the table.
    :ivar keys: its own keys below that; several for a dotted key.
    :ivar value: of a string in the array at ``keys``; None for tables and keys.
    :ivar start: offset of its first character, including quotes.
    """

    table: tuple[str, ...]
    keys: tuple[str, ...]
    value: str | None
    start: int


def syntax_error(text: str) -> str:
    """Why it is not TOML; empty if it is."""
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return str(error)
    return ""


def items(text: str) -> list[Item]:
    """All items, except those in inline tables; none if the text is not TOML."""
    return [] if syntax_error(text) else list(_items(text))


def _items(text: str) -> Iterator[Item]:
    table: tuple[str, ...] = ()
    for tokens in _statements(text):
        marks = [token.group() for token in tokens]
        start = tokens[0].start()
        if marks[0] == "[":
            table = _keys(tokens)
            yield Item(table, (), None, start)
            continue
        equals = marks.index("=")
        keys = _keys(tokens[:equals])
        yield Item(table, keys, None, start)
        for string in _strings(tokens[equals + 1 :]):
            yield Item(table, keys, _decoded(string.group()), string.start())


def _statements(text: str) -> Iterator[list[re.Match[str]]]:
    """The tokens of each table header and of each ``key = value``, without comments."""
    tokens: list[re.Match[str]] = []
    depth = 0
    for token in _TOKEN.finditer(text):
        depth += _nesting(token)
        if token.group() == "\n":
            if tokens and not depth:
                yield tokens
                tokens = []
        elif token.lastgroup != "comment":
            tokens.append(token)
    if tokens:
        yield tokens


def _nesting(token: re.Match[str]) -> int:
    """How much deeper the text after a token is nested: 1, 0 or -1."""
    mark = token.group()
    return (mark in ("[", "{")) - (mark in ("]", "}"))


def _keys(tokens: Sequence[re.Match[str]]) -> tuple[str, ...]:
    keys: list[str] = []
    for token in tokens:
        if token.lastgroup == "string":
            keys.append(_decoded(token.group()))
        elif token.lastgroup == "bare":
            keys += filter(None, token.group().split("."))
    return tuple(keys)


def _strings(value: Sequence[re.Match[str]]) -> Iterator[re.Match[str]]:
    """The strings that are items of an array."""
    depth = 0
    for token in value:
        depth += _nesting(token)
        if token.lastgroup == "string" and depth == 1 and value[0].group() == "[":
            yield token


def _decoded(string: str) -> str:
    return str(tomllib.loads(f"string = {string}")["string"])
