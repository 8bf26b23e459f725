"""What ``bridge bench`` was asked for. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bridge.cli.options import DEFAULT_THREADS, UsageError
from bridge.types import Interface

__all__ = ["BenchOptions"]


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """Options of ``bridge bench``.

    :ivar path: of the page that is asked for, with its query.
    :ivar seconds: of each measurement; there are ``rounds`` of them for each way.
    :ivar only: parts of the names of the ways to measure; all there are, if none is given.
    :raises UsageError: ``path`` is no path.
    """

    target: str
    path: str = "/"
    connections: int = 32
    seconds: int = 3
    rounds: int = 3
    threads: int = DEFAULT_THREADS
    interface: Interface | None = None
    app_dir: Path | None = None
    only: list[str] = field(default_factory=list)
    svg: Path | None = None
    json: Path | None = None

    def __post_init__(self) -> None:
        if not self.path.startswith("/") or any(ord(c) < 33 or ord(c) > 126 for c in self.path):
            raise UsageError(
                f"--path takes a path of the app, such as /shop?page=2, not {self.path!r}"
            )
        for option, file in (("--svg", self.svg), ("--json", self.json)):
            if file is not None and not file.absolute().parent.is_dir():
                raise UsageError(f"{option} {file}: there is no folder {file.absolute().parent}")
