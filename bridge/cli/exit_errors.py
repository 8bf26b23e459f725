"""Errors of ours as words and an exit code, for every command.

What enters: a block that carries out a command. What leaves: `typer.Exit` with 0, 1 or 2; what the
user should read is on stderr, as one line that starts with ``bridge:``, below the traceback of the
app's own error where there is one. Main thread.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from bridge.cli.options import UsageError
from bridge.cli.serve import treat_sigterm_as_ctrl_c
from bridge.errors import AmbiguousApp, AppLoadError, BridgeError, ConfigError

__all__ = ["telling_errors"]


@contextmanager
def telling_errors() -> Iterator[None]:
    """Turn our errors into words and an exit code. Others are bugs, and keep their traceback."""
    treat_sigterm_as_ctrl_c()  # there may be a long import before a server handles it
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit from None
    except BridgeError as error:
        if error.__cause__ is not None:
            _print_traceback(error.__cause__)
        print(f"bridge: {error}", file=sys.stderr)
        raise typer.Exit(_exit_code(error)) from None


def _exit_code(error: BridgeError) -> int:
    is_usage = isinstance(error, UsageError | AmbiguousApp | AppLoadError | ConfigError)
    return 2 if is_usage and error.__cause__ is None else 1


def _print_traceback(cause: BaseException) -> None:
    """The app's own part of it: without how we came to import the app."""
    step = cause.__traceback__
    while step is not None and _is_ours(step.tb_frame.f_globals.get("__name__", "")):
        step = step.tb_next
    traceback.print_exception(type(cause), cause, step)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in ("bridge", "importlib", "_frozen_importlib")
