"""Processes that `bridge migrate` starts as leaders of a group of their own."""

from __future__ import annotations

import os
import signal
import subprocess

__all__ = ["kill", "send_signal"]

_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has none


def send_signal(process: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to a process and its children, if any are left."""
    try:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
    except (ProcessLookupError, PermissionError):
        pass  # none is left, or only some of another user


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its children, and wait for its end."""
    send_signal(process, _KILL)
    process.wait()
