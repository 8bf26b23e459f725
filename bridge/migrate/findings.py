"""What a rule found, and what would put it right: plain values, no libcst, no I/O.

What enters: nothing. What leaves: the types that rules, runner and outputs share. All are frozen
and can be pickled: rules also run in worker processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from pathlib import Path

__all__ = ["Edit", "Finding", "Fix", "NewFile", "Problem", "Severity", "Source", "Target"]


class Severity(IntEnum):
    """How bad it is, the worst last."""

    INFO = 1
    WARNING = 2
    ERROR = 3
    CRITICAL = 4

    @property
    def letter(self) -> str:
        """``I``, ``W``, ``E`` or ``C``."""
        return self.name[0]


class Source(StrEnum):
    """How a finding was come by."""

    SOURCES = "S"
    """Read from the project's sources, with LibCST."""
    RUNTIME = "R"
    """Asked of the project itself, after ``django.setup()``, under its own interpreter."""
    DEPLOY = "D"
    """Read from a file that says how the project is started."""


class Target(StrEnum):
    """Where a project moves to."""

    BRIDGE = "bridge"
    """An ASGI server, with `bridge` running what is sync in worker threads."""
    NATIVE = "native"
    """An ASGI server, with the framework's own ASGI handler."""


@dataclass(frozen=True)
class Edit:
    """Replace part of a file.

    :ivar path: absolute.
    :ivar start: offset in characters into the decoded text, newlines as they are in the file.
    :ivar end: the offset after the last character that goes; ``start`` to insert.
    :ivar text: what comes there. Write newlines as ``\\n``; they become those of the file.
    """

    path: Path
    start: int
    end: int
    text: str


@dataclass(frozen=True)
class NewFile:
    """Make a file, in UTF-8. Where it exists already, the fix is left out.

    :ivar path: absolute.
    """

    path: Path
    text: str


@dataclass(frozen=True)
class Fix:
    """Edits that belong together: all of them are made, or none.

    :ivar description: what it does, as a command: "Call super().__init__()".
    :ivar safe: whether the project behaves as before, wherever it ran correctly.
    """

    description: str
    edits: tuple[Edit | NewFile, ...]
    safe: bool


@dataclass(frozen=True)
class Finding:
    """One thing in one place.

    :ivar code: the rule's, as ``M202``.
    :ivar path: absolute; the project's folder for what is in no single file.
    :ivar line: from 1; 0 for a whole file or folder.
    :ivar column: from 1; 0 if there is no line.
    :ivar message: what is there and why it matters, in a sentence without a full stop.
    :ivar help: what to do, as a command.
    :ivar native: how bad it is under the framework's own ASGI handler; None for not at all.
    :ivar bridge: how bad it is through `bridge`.
    :ivar line_text: the text of that line, stripped: a baseline knows the finding by it.
    """

    code: str
    path: Path
    line: int
    column: int
    message: str
    help: str
    source: Source
    native: Severity | None
    bridge: Severity | None
    line_text: str = ""
    fix: Fix | None = None

    def severity(self, target: Target) -> Severity | None:
        """How bad it is on this target; None where it does not matter."""
        return self.native if target is Target.NATIVE else self.bridge


@dataclass(frozen=True)
class Problem:
    """A file that could not be read or parsed. The rest of the project is checked all the same.

    :ivar path: absolute.
    :ivar line: from 1; 0 if no line is to blame.
    """

    path: Path
    line: int
    message: str
