"""The end of a process that some thread would not let end.

What enters: seconds. What leaves: the process, after them, if it is still there. A thread that
hangs, in a view that waits for a dead database say, keeps Python from ending after the server has:
Python joins every thread that is no daemon. One daemon thread runs this.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time

__all__ = ["LAST_S", "leave_within"]

LAST_S = 5
"""Seconds that a process gets to end after its server has."""


def leave_within(seconds: float, code: int = 0) -> None:
    """End this process, and its workers, ``seconds`` from now at the latest.

    Should it come to that, a line on stderr says so and names the threads.
    """
    threading.Thread(
        target=_leave, args=(seconds, code), name="bridge-last-resort", daemon=True
    ).start()


def _leave(seconds: float, code: int) -> None:
    time.sleep(seconds)
    for child in multiprocessing.active_children():
        child.kill()
    usual = (threading.main_thread(), threading.current_thread())
    names = ", ".join(each.name for each in threading.enumerate() if each not in usual)
    print(
        f"bridge: process {os.getpid()} does not end by itself, so it is ended. "
        f"Threads still there: {names or 'none'}",
        file=sys.stderr,
        flush=True,
    )
    os._exit(code)
