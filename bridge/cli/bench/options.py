"""The options of ``bridge bench``, checked. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bridge.cli.options import DEFAULT_THREADS, UsageError
from bridge.types import Interface

__all__ = ["BenchOptions"]


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """Options of ``bridge bench``.

    :ivar path: of the requested page, with its query.
    :ivar seconds: duration of a round; each setup is measured ``rounds`` times.
    :ivar only: measure the setups whose names contain one of these; if empty, all.
    :raises UsageError: ``path`` is not a path, or an output file has no folder.
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
                raise UsageError(f"{option} {file}: no such folder: {file.absolute().parent}")

    @property
    def app_dir_text(self) -> str | None:
        return None if self.app_dir is None else str(self.app_dir)
