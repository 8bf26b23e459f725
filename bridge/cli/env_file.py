"""``--env-file``: variables from a file, for the app and for the server.

Reads text and returns a dict. Pure, except for :func:`load_env_file`. The grammar:

- a line is blank, a comment that begins with ``#``, or ``NAME=VALUE``, with ``export`` before it or
  not. A name has letters, digits and underscores; there are no spaces around the ``=``;
- a value without quotes ends at a space and ``#``, or with its line. It has no quotes and no
  backslashes;
- in single quotes, everything stands for itself;
- in double quotes, ``\\n``, ``\\t`` and ``\\r`` are a newline, a tab and a carriage return, and a
  backslash before ``"``, ``$``, a backtick or a backslash is dropped. Any other stands for itself;
- a value in quotes may have several lines;
- nothing is substituted: ``$NAME`` stands for itself.

If a name occurs twice, the last value counts. A variable that is set already keeps its value.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from bridge.cli.options import UsageError

__all__ = ["load_env_file", "parse_env"]

_NAME = re.compile(r"(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)=")
_END = r"[ \t]*(?:[ \t]#[^\n]*)?(?:\n|\Z)"
_PLAIN = re.compile(rf"(?P<value>[^\s'\"\\](?:[^\n'\"\\]*?[^\s'\"\\])??)?(?={_END})")
_SINGLE = re.compile(r"'(?P<value>[^']*)'")
_DOUBLE = re.compile(r'"(?P<value>(?:[^"\\]|\\.)*)"', re.DOTALL)
_REST = re.compile(_END)
_SKIPPED = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*[ \t]*(?:#[^\n]*\Z)?")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "$": "$", "`": "`"}


def load_env_file(path: Path) -> None:
    """Set the variables of a file in ``os.environ``, but none that is set already, even to nothing.

    :raises UsageError: it cannot be read, or a line is wrong. The message names the line.
    """
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise UsageError(f"--env-file {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"--env-file {path}: it is not UTF-8") from None
    try:
        variables = parse_env(text)
    except ValueError as error:
        raise UsageError(f"--env-file {path}, {error}") from None
    for name, value in variables.items():
        os.environ.setdefault(name, value)


def parse_env(text: str) -> dict[str, str]:
    """The variables of a text in the grammar above.

    :raises ValueError: a line is wrong. The message begins with its number, and shows no value.
    """
    variables: dict[str, str] = {}
    text = text.replace("\r\n", "\n")
    if "\0" in text:
        raise ValueError(f"line {_line(text, text.index(chr(0)))}: a NUL character")
    at = _end_of(_SKIPPED, text, 0)
    while at < len(text):
        name = _NAME.match(text, at)
        if name is None:
            raise ValueError(f"line {_line(text, at)}: expected NAME=VALUE or a # comment")
        value, end = _value(text, name.end())
        rest = None if value is None else _REST.match(text, end)
        if value is None and text[name.end()] in " \t":
            raise ValueError(f"line {_line(text, at)}: a space after the = of {name['name']}")
        if value is None or rest is None:
            raise ValueError(
                f"line {_line(text, at)}: the value of {name['name']} has a quote that is not "
                "closed, or a quote or backslash outside of quotes. Put the whole value into quotes"
            )
        variables[name["name"]] = value
        at = _end_of(_SKIPPED, text, rest.end())
    return variables


def _value(text: str, at: int) -> tuple[str | None, int]:
    """The value that begins at ``at``, and where it ends. None: it is malformed."""
    for pattern in (_SINGLE, _DOUBLE, _PLAIN):
        match = pattern.match(text, at)
        if match is not None:
            value = match["value"] or ""
            return (_ESCAPED.sub(_unescape, value) if pattern is _DOUBLE else value), match.end()
    return None, at


def _unescape(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[1], match[0])


def _end_of(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return at if match is None else match.end()


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
