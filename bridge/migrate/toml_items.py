"""The keys and strings of a TOML file, and where they stand.

What enters: the text of a file. What leaves: an :class:`Item` for each table, each key and each
string in an array, in the order they stand in. ``tomllib`` says whether the text is TOML at all,
and what a string means; where in the text it is it does not say. Pure.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Item", "items", "mistake_in"]

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

    :ivar table: the keys of the table it is in, or that it is the head of.
    :ivar keys: its own keys below that; more than one where they are dotted.
    :ivar value: of a string that is an item of the array at ``keys``; None for tables and keys.
    :ivar start: offset into the text of its first character, quotes included.
    """

    table: tuple[str, ...]
    keys: tuple[str, ...]
    value: str | None
    start: int


def mistake_in(text: str) -> str:
    """Why it is not TOML; empty if it is."""
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return str(error)
    return ""


def items(text: str) -> list[Item]:
    """All items; none of a text that is not TOML. What is in inline tables is left out."""
    return [] if mistake_in(text) else list(_items(text))


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
            yield Item(table, keys, _meaning(string.group()), string.start())


def _statements(text: str) -> Iterator[list[re.Match[str]]]:
    """The tokens of each head of a table and of each ``key = value``, comments left out."""
    tokens: list[re.Match[str]] = []
    depth = 0
    for token in _TOKEN.finditer(text):
        depth += _deeper(token)
        if token.group() == "\n":
            if tokens and not depth:
                yield tokens
                tokens = []
        elif token.lastgroup != "comment":
            tokens.append(token)
    if tokens:
        yield tokens


def _deeper(token: re.Match[str]) -> int:
    mark = token.group()
    return (mark in ("[", "{")) - (mark in ("]", "}"))


def _keys(tokens: Sequence[re.Match[str]]) -> tuple[str, ...]:
    keys: list[str] = []
    for token in tokens:
        if token.lastgroup == "string":
            keys.append(_meaning(token.group()))
        elif token.lastgroup == "bare":
            keys += filter(None, token.group().split("."))
    return tuple(keys)


def _strings(value: Sequence[re.Match[str]]) -> Iterator[re.Match[str]]:
    """The strings that are items of an array."""
    depth = 0
    for token in value:
        depth += _deeper(token)
        if token.lastgroup == "string" and depth == 1 and value[0].group() == "[":
            yield token


def _meaning(string: str) -> str:
    return str(tomllib.loads(f"string = {string}")["string"])
