"""Findings and fixes: the plain values that rules, runner and outputs share.

No libcst and no I/O. All are frozen and can be pickled, because rules also run in worker processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from pathlib import Path

__all__ = [
    "Edit",
    "Finding",
    "Fix",
    "NewFile",
    "Problem",
    "Severity",
    "Source",
    "Target",
    "severity_letters",
]


class Severity(IntEnum):
    """The severity of a finding; a higher value is worse."""

    INFO = 1
    WARNING = 2
    ERROR = 3
    CRITICAL = 4

    @property
    def letter(self) -> str:
        """``I``, ``W``, ``E`` or ``C``."""
        return self.name[0]


def severity_letters(native: Severity | None, bridge: Severity | None) -> str:
    """The severity under both targets, as in ``E/-``."""
    return "/".join("-" if each is None else each.letter for each in (native, bridge))


class Source(StrEnum):
    """Where a finding comes from."""

    SOURCES = "S"
    """The project's sources, parsed with LibCST."""
    RUNTIME = "R"
    """The running project: introspected after ``django.setup()``, under its own interpreter."""
    DEPLOY = "D"
    """A deploy file, which configures how the project is started."""


class Target(StrEnum):
    """Where a project moves to."""

    BRIDGE = "bridge"
    """An ASGI server, with `bridge` running sync code in worker threads."""
    NATIVE = "native"
    """An ASGI server, with the framework's own ASGI handler."""


@dataclass(frozen=True)
class Edit:
    """Replace part of a file.

    :ivar path: absolute.
    :ivar start: offset in characters into the decoded text, with the file's own newlines.
    :ivar end: the offset after the last replaced character; ``start`` to insert.
    :ivar text: the new text. Write newlines as ``\\n``; they become those of the file.
    """

    path: Path
    start: int
    end: int
    text: str


@dataclass(frozen=True)
class NewFile:
    """Create a file, in UTF-8. A fix is skipped if the file exists.

    :ivar path: absolute.
    """

    path: Path
    text: str


@dataclass(frozen=True)
class Fix:
    """Edits that belong together: either all are applied, or none.

    :ivar description: what it does, in the imperative: "Call super().__init__()".
    :ivar safe: whether the project behaves as before, wherever it worked correctly.
    """

    description: str
    edits: tuple[Edit | NewFile, ...]
    safe: bool


@dataclass(frozen=True)
class Finding:
    """What a rule reports about one place.

    :ivar code: the rule's, as ``M202``.
    :ivar path: absolute; the project's folder if it concerns no single file.
    :ivar line: from 1; 0 for a whole file or folder.
    :ivar column: from 1; 0 if there is no line.
    :ivar message: what was found and why it matters, in a sentence without a full stop.
    :ivar help: what to do, in the imperative.
    :ivar native: the severity under the framework's own ASGI handler; None: not reported there.
    :ivar bridge: the severity through `bridge`.
    :ivar line_text: the text of that line, stripped: a baseline identifies the finding by it.
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
        """The severity on this target; None if it is not reported there."""
        return self.native if target is Target.NATIVE else self.bridge


@dataclass(frozen=True)
class Problem:
    """A file that could not be read or parsed. The rest of the project is still checked.

    :ivar path: absolute.
    :ivar line: from 1; 0 for the whole file.
    """

    path: Path
    line: int
    message: str
