"""Variables in the values of deploy files: ``$PORT``, ``${PORT:-8000}``, ``$(command)``.

Input: a text and the values of variables. Output: the text in the default case, and the parts of it
that depend on something. Pure.

A variable that nothing sets is empty, as in a shell: so the default branch is taken. What only a
running shell could know, such as ``$1`` or ``$(nproc)``, makes the whole value None.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

__all__ = ["conditions_in", "expand", "names_in"]

_NAME = re.compile(r"[A-Za-z_]\w*")
_OPERATOR = re.compile(r":?[-+=?]")
_MAX_DEPTH = 20


def expand(text: str, variables: Mapping[str, str | None], depth: int = 0) -> str | None:
    """The text with its variables replaced; None if one of them cannot be known."""
    expanded = ""
    for part, is_reference in _parts(text):
        value = _value(part, variables, depth) if is_reference else part
        if value is None:
            return None
        expanded += value
    return expanded


def conditions_in(text: str) -> str:
    """The references with a default in a text, as ``${PORT:-8000}``; empty if there is none."""
    found = (part for part, is_reference in _parts(text) if is_reference)
    return ", ".join(dict.fromkeys(part for part in found if re.match(r"\$\{\w+:?[-=+]", part)))


def names_in(text: str) -> Iterator[str]:
    """The variables that a text refers to."""
    for part, is_reference in _parts(text):
        name = _NAME.match(part.lstrip("${")) if is_reference else None
        if name is not None:
            yield name.group()


def _value(reference: str, variables: Mapping[str, str | None], depth: int) -> str | None:
    if reference.startswith(("$(", "`")) or depth > _MAX_DEPTH:
        return None
    inner = reference[1:].removeprefix("{").removesuffix("}")
    name = _NAME.match(inner)
    if name is None:
        return None  # $1, $@, $$, ${#X}, ...
    value = variables.get(name.group(), "")
    rest = inner[name.end() :]
    operator = _OPERATOR.match(rest)
    if not rest or operator is None:
        return None if rest else value  # ${X%.py} and others
    word = rest[operator.end() :]
    if operator.group().endswith("+"):
        return expand(word, variables, depth + 1) if value != "" else ""
    if value == "" and not operator.group().endswith("?"):
        return expand(word, variables, depth + 1)
    return value


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """The parts of a text, and whether each is a reference."""
    position = literal = 0
    while position < len(text):
        end = _end_of_reference(text, position)
        if text.startswith(("\\$", "$$"), position):
            yield text[literal:position] + "$", False
            position = literal = position + 2
        elif end is not None:
            yield text[literal:position], False
            yield text[position:end], True
            position = literal = end
        else:
            position += 1
    yield text[literal:], False


def _end_of_reference(text: str, start: int) -> int | None:
    if text[start] == "`":
        closing = text.find("`", start + 1)
        return None if closing < 0 else closing + 1
    if text[start] != "$":
        return None
    following = text[start + 1 : start + 2]
    if following in ("{", "("):
        return _closing(text, start + 1, following, "}" if following == "{" else ")")
    found = re.compile(r"[A-Za-z_]\w*|[0-9@*#?!-]").match(text, start + 1)
    return found.end() if found else None


def _closing(text: str, start: int, opens: str, closes: str) -> int | None:
    depth = 0
    for position in range(start, len(text)):
        if text[position] == opens:
            depth += 1
        elif text[position] == closes:
            depth -= 1
            if not depth:
                return position + 1
    return None
