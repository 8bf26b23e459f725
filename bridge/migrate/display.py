"""Shows names and texts of a project so that they stay within their line.

A project is not trusted: a file name may contain a newline, a terminal's escape sequence, or bytes
that are not UTF-8. Pure.
"""

from __future__ import annotations

import os
import re

__all__ = ["LOGIN", "SECRET", "printable", "quoted_name"]

SECRET = re.compile(r"PASS|SECRET|KEY|TOKEN|CREDENTIAL|DSN|SALT", re.IGNORECASE)
"""In the name of a variable whose value is not shown."""

LOGIN = re.compile(r"(?<=://)[^/@\s]+(?=@)")
"""The user and password in a URL, which are not shown."""

_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\t": "\\t",
    "\n": "\\n",
    "\v": "\\v",
    "\f": "\\f",
    "\r": "\\r",
    '"': '\\"',
    "\\": "\\\\",
}


def quoted_name(name: str) -> str:
    """A file name as git and GNU patch write it.

    A name with a control character, a quote, a backslash, a character that is not printable, or a
    byte that is not UTF-8 is in double quotes, with C's escapes and octal bytes: ``"a\\nb.py"``.
    Other names, non-ASCII ones included, are unchanged.
    """
    quoted = "".join(_ESCAPES.get(each) or _octal(each) for each in name)
    return name if quoted == name else f'"{quoted}"'


def _octal(character: str) -> str:
    if character.isprintable():
        return character
    return "".join(f"\\{byte:03o}" for byte in os.fsencode(character))


def printable(text: str) -> str:
    """A text in one line, with Python's escapes for characters that are not printable.

    These include newlines, control characters, line separators and the marks that reverse the
    direction of text.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
