"""A server on a unix socket, as a page starts it.

What enters: a command with ``--uds``. What leaves: that server, listening, for the length of a
block. It leads its own process group, which is killed at the end.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.docs.console import Command, module_of

__all__ = ["served_on"]

START_TIMEOUT_S = 30.0
POLL_S = 0.02


@contextmanager
def served_on(command: Command) -> Iterator[None]:
    """Run the command in the current directory until it can be connected to, and for the block."""
    words = command.words
    path = words[words.index("--uds") + 1]
    module = module_of(command)
    with Path("server.log").open("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *words[1:]],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            _wait_until_listening(process, path)
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_until_listening(process: subprocess.Popen[bytes], path: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        assert process.poll() is None, Path("server.log").read_text()
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(path) == 0:
                return
        time.sleep(POLL_S)  # polling, with a deadline: a socket has no event to wait for
    raise AssertionError(f"nobody listens on {path}:\n{Path('server.log').read_text()}")
