"""Waits for a program that was given a port, and logs why it cannot listen there."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.harness.ports import HOST

__all__ = ["wait_until_listening"]

START_TIMEOUT_S = 20.0
POLL_S = 0.02


def wait_until_listening(process: subprocess.Popen[Any], port: int, log: Path) -> None:
    """Wait until the process accepts connections.

    :raises AssertionError: it has exited, or does not listen in time. The message is its log.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        assert process.poll() is None, f"exited:\n{log.read_text()}"
        try:
            socket.create_connection((HOST, port), timeout=1).close()
            return
        except OSError:
            time.sleep(POLL_S)  # polling, with a deadline: a port has no event to wait for
    raise AssertionError(f"does not listen:\n{log.read_text()}")
