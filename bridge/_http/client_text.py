"""Texts from outside in logs, messages and on terminals: short, and without control characters.

Input: whatever a client has sent, or an app or another program that may have it from a client.
Output: text on one line in which line breaks, escape sequences, bidirectional controls and
everything else that ``str.isprintable()`` excludes is written as in a Python literal. So a client
can neither forge a line of a log nor control the terminal that shows it. Pure; any thread.

- :class:`ClientText` for one text of a client, in calls of a logger and in messages;
- :func:`literal` for a value that may be of the wrong type, in messages of errors;
- :func:`one_line` for a whole line of another program.
"""

from __future__ import annotations

import reprlib

__all__ = ["LONGEST", "ClientText", "literal", "one_line"]

LONGEST = 200
"""Characters of one text that are shown."""


class ClientText:
    """A text of a client, to be shown: as it is, or as a literal if that differs or if it has
    spaces, so that it cannot be mistaken for a part of the message.

    Formatted only when needed: in a call of a logger that logs nothing, it costs next to nothing,
    and a record that is kept does not keep a text of any length.

    >>> str(ClientText("/shop/café")), str(ClientText("/a\\nb")), str(ClientText(b"x-y"))
    ('/shop/café', "'/a\\\\nb'", 'x-y')

    :param text: decoded; bytes are shown as latin-1.
    """

    __slots__ = ("_length", "_text")

    def __init__(self, text: str | bytes) -> None:
        self._length = len(text)
        self._text = text[:LONGEST]

    def __str__(self) -> str:
        text = self._text if isinstance(self._text, str) else self._text.decode("latin-1")
        quoted = repr(text)
        is_plain = len(quoted) == len(text) + 2 and text and not set(text) & set("'\" ")
        return _with_length(text if is_plain else quoted, self._length)


def literal(value: object) -> str:
    """``repr(value)``, shortened, and on one line whatever its class returns."""
    return one_line(_short.repr(value))


def one_line(text: str) -> str:
    """The text with everything escaped that is not printable."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


class _ShortRepr(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxdict = 10
        self.maxother = LONGEST

    def repr_str(self, x: str, level: int) -> str:
        return _with_length(repr(x[:LONGEST]), len(x))

    def repr_bytes(self, x: bytes, level: int) -> str:
        return _with_length(repr(x[:LONGEST]), len(x))


def _with_length(shown: str, length: int) -> str:
    return shown if length <= LONGEST else f"{shown}... ({length} characters)"


_short = _ShortRepr()
