"""The text of a file, decoded, with what is needed to write it back unchanged.

Input: a path. Output: a :class:`Text`, or :class:`CannotRead` with the reason.
"""

from __future__ import annotations

import io
import re
import tokenize
from dataclasses import dataclass
from pathlib import Path

__all__ = ["LINE_END", "CannotRead", "Text", "read_text"]

LINE_END = re.compile(r"\r\n|\r|\n")
"""The line ends of Python source; ``str.splitlines`` also splits at form feeds and others."""


class CannotRead(Exception):
    """A file cannot be read or parsed, for the reason in the message.

    :ivar line: of the error, from 1; 0 if it concerns the whole file.
    """

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class Text:
    """The decoded text of a file.

    :ivar newline: the first line end in the file; ``\\n`` if there is none.
    """

    text: str
    encoding: str
    newline: str

    def lines(self) -> list[str]:
        """Its lines without line ends, counted as Python does: a form feed does not end a line."""
        return LINE_END.split(self.text)


def read_text(path: Path) -> Text:
    """Read a file, in the encoding of its PEP 263 line or byte order mark, else UTF-8.

    :raises CannotRead: it cannot be opened or decoded.
    """
    try:
        data = path.read_bytes()
        encoding = _encoding(data)
        text = data.decode(encoding)
    except OSError as error:
        raise CannotRead(f"cannot be read: {error.strerror or error}") from None
    except SyntaxError as error:
        raise CannotRead(f"cannot be decoded: {error.msg}", 1) from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CannotRead(
            f"is not {encoding}: byte 0x{data[error.start]:02x}. Save it as UTF-8, or declare its "
            f"encoding in the first line: # -*- coding: latin-1 -*-",
            line,
        ) from None
    found = LINE_END.search(text)
    return Text(text, encoding, found.group() if found else "\n")


def _encoding(data: bytes) -> str:
    """:raises SyntaxError: the declared encoding does not exist."""
    try:
        return tokenize.detect_encoding(io.BytesIO(data).readline)[0]
    except SyntaxError as error:
        if "unknown encoding" in str(error):
            raise
        return "utf-8"  # decoding fails, and locates the error
