"""Run a server in this very process, and bring its exit code to ours.

What enters: what ``python -m`` takes, ``python -m bridge.cli.serve SECONDS MODULE ARGUMENT...``.
What leaves: an exit code. The server runs on the main thread and gets the signals itself, as if
started by its own command; there is no second process that could miss one or outlive the other.

Servers end in different ways when told to: some return, some raise the signal again once they have
drained, some leave through ``sys.exit``. To whoever started ``bridge run`` all of these are 0.
"""

from __future__ import annotations

import runpy
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from bridge.cli.last_resort import LAST_S, leave_within

__all__ = ["run_server"]


def run_server(module: str, arguments: Sequence[str], last_s: float = LAST_S) -> int:
    """Run ``python -m module arguments`` here. Afterwards the process should end.

    :param last_s: how long that may take, with worker processes that still finish.
    :returns: 0 if it ended well or was told to end, 1 if it failed.
    """
    signal.signal(signal.SIGTERM, _leave)  # until the server has its own, and after it
    code = _run(module, arguments)
    leave_within(last_s, code)
    return code


def _run(module: str, arguments: Sequence[str]) -> int:
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except KeyboardInterrupt:
        return 0
    except SystemExit as leaving:
        return 0 if leaving.code in (None, 0) else _said(leaving.code)
    return 0


def _said(code: object) -> int:
    if isinstance(code, str):  # what sys.exit("...") prints
        print(code, file=sys.stderr)
    return 1


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(run_server(sys.argv[2], sys.argv[3:], last_s=float(sys.argv[1])))
