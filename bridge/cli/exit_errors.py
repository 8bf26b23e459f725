"""Turns errors of a command into a message on stderr and an exit code.

Expected errors end in `click.exceptions.Exit` with 0, 1 or 2 and one line on stderr that starts
with ``bridge:``, below the traceback of the app's own error if there is one. Runs on: the main
thread.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from click.exceptions import Exit

from bridge.cli.options import UsageError
from bridge.cli.shutdown import treat_sigterm_as_ctrl_c
from bridge.errors import AmbiguousApp, AppLoadError, BridgeError, ConfigError

__all__ = ["exit_on_error"]


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Report a `BridgeError` and exit. Any other exception is a bug and keeps its traceback."""
    treat_sigterm_as_ctrl_c()  # importing the app may take long, and no server handles it yet
    try:
        yield
    except KeyboardInterrupt:
        raise Exit(0) from None
    except BridgeError as error:
        if error.__cause__ is not None:
            _print_traceback(error.__cause__)
        print(f"bridge: {error}", file=sys.stderr)
        raise Exit(_exit_code(error)) from None


def _exit_code(error: BridgeError) -> int:
    is_usage = isinstance(error, UsageError | AmbiguousApp | AppLoadError | ConfigError)
    return 2 if is_usage and error.__cause__ is None else 1


def _print_traceback(cause: BaseException) -> None:
    """Print the part of the traceback that belongs to the app, without our own import code."""
    step = cause.__traceback__
    while step is not None and _is_ours(step.tb_frame.f_globals.get("__name__", "")):
        step = step.tb_next
    traceback.print_exception(type(cause), cause, step)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in ("bridge", "importlib", "_frozen_importlib")
