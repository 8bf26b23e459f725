"""What ``bridge run`` was asked for, and which of it each server cannot do.

What enters: parsed options. What leaves: the same, completed, or :class:`UsageError`: an option is
carried out or refused, and never ignored. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.errors import BridgeError, ConfigError
from bridge.router.prefixes import normal_prefix

if TYPE_CHECKING:
    from bridge.cli.targets import Asked

__all__ = [
    "DEFAULT_GRACE_S",
    "DEFAULT_THREADS",
    "LogLevel",
    "RunOptions",
    "UsageError",
    "normal_root_path",
]

DEFAULT_GRACE_S = 10
DEFAULT_THREADS = 40


class UsageError(BridgeError):
    """The command line cannot be carried out. Says which option, and what could."""


class LogLevel(StrEnum):
    """Levels that every server knows."""

    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    DEBUG = "debug"


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of ``bridge run``. None where the user gave none.

    :ivar asked: the apps.
    :ivar grace_s: seconds that open requests get after SIGTERM or Ctrl-C.
    :ivar app_dir: where modules are looked for; None for the current directory.
    :ivar watched: the folders to watch when reloading; none for the current directory alone.
    """

    asked: tuple[Asked, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8000
    uds: Path | None = None
    workers: int = 1
    threads: int | None = None
    reload: bool = False
    root_path: str = ""
    log_level: LogLevel = LogLevel.INFO
    grace_s: int = DEFAULT_GRACE_S
    app_dir: Path | None = None
    watched: tuple[Path, ...] = ()

    @property
    def thread_count(self) -> int:
        """Threads that run WSGI code in each worker, the default included."""
        return DEFAULT_THREADS if self.threads is None else self.threads

    @property
    def is_quiet(self) -> bool:
        """Whether requests are not to be logged one by one."""
        return self.log_level not in (LogLevel.INFO, LogLevel.DEBUG)

    def given(self) -> set[str]:
        """The options that not every server has, of those that were given, as they are typed."""
        asked = {"--workers": self.workers > 1, "--reload": self.reload}
        return {option for option, is_given in asked.items() if is_given}


def normal_root_path(text: str) -> str:
    """``app/`` and ``/app`` as ``/app``; ``/`` as nothing.

    :raises UsageError: it is a URL, has a query or fragment, or is else no prefix of paths.
    """
    try:
        return normal_prefix(f"/{text.strip('/')}")
    except ConfigError:
        raise UsageError(f"--root-path takes a path such as /shop, not {text!r}") from None
