"""Run a server in this very process, and bring its exit code to ours.

What enters: what ``python -m`` takes, ``python -m bridge.cli.serve SECONDS MODULE ARGUMENT...``.
What leaves: an exit code. The server runs on the main thread and gets the signals itself, as if
started by its own command; there is no second process that could miss one or outlive the other.

Servers end in different ways when told to: some return, some raise the signal again once they have
drained, some leave through ``sys.exit``. To whoever started ``bridge run`` all of these are 0.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from collections.abc import Sequence

from bridge.cli.force_exit import LAST_S, leave_within
from bridge.cli.shutdown import prepare_master

__all__ = ["run_server", "treat_sigterm_as_ctrl_c"]

RETURN_0 = ("uvicorn", "hypercorn")
"""Servers whose master ends with 0 although its workers could not start."""


def treat_sigterm_as_ctrl_c() -> None:
    """Have SIGTERM raise KeyboardInterrupt here, so that it, too, ends in an exit code of 0."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def run_server(module: str, arguments: Sequence[str], last_s: float = LAST_S) -> int:
    """Run ``python -m module arguments`` here. Afterwards the process should end.

    :param last_s: how long that may take, with worker processes that still finish.
    :returns: 0 if it ended well or was told to end, 1 if it failed.
    """
    treat_sigterm_as_ctrl_c()  # until the server has its own handler, and after it
    this = os.getpid()
    code = 1
    try:
        code = _run(module, arguments)
    finally:
        if os.getpid() == this:
            leave_within(last_s, code)
    return code


def run_master(module: str, arguments: Sequence[str], last_s: float) -> int:
    """The same in a process that may only watch over the workers that serve."""
    prepare_master(module)
    wishes = _Wishes()
    code = run_server(module, arguments, last_s)
    if code == 0 and module in RETURN_0 and not wishes.have_come():
        return 1
    return code


def _run(module: str, arguments: Sequence[str]) -> int:
    this = os.getpid()
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except (KeyboardInterrupt, SystemExit) as leaving:
        if os.getpid() != this:  # in a worker it forked, whose exit code the master wants to see
            raise
        return _said(getattr(leaving, "code", None))
    return 0


def _said(code: object) -> int:
    if isinstance(code, str):  # what sys.exit("...") prints
        print(code, file=sys.stderr)
    return 0 if code in (None, 0) else 1


class _Wishes:
    """Whether this process was told to end, by signals that are the server's to handle.

    Python writes the number of each signal it handles to a file descriptor, if it is given one. An
    event loop in this thread would put its own in that place: this is for masters without one.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)

    def have_come(self) -> bool:
        try:
            numbers = os.read(self._reader, 4096)
        except BlockingIOError:
            return False
        return not {signal.SIGINT, signal.SIGTERM}.isdisjoint(numbers)


if __name__ == "__main__":
    sys.exit(run_master(sys.argv[2], sys.argv[3:], last_s=float(sys.argv[1])))
