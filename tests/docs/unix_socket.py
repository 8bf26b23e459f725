"""Runs a server on a unix socket, with the command that a page shows.

Input: a command with ``--uds``. The server listens for the duration of a block. It leads its own
process group, which is killed at the end.
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

__all__ = ["in_test_folder", "served_on"]

FOLDERS = ("/run/site", "/srv/site")
"""Where pages have the sockets of the server, and the project."""

START_TIMEOUT_S = 30.0
POLL_S = 0.02


@contextmanager
def served_on(command: Command) -> Iterator[None]:
    """Run the command in the current directory; it accepts connections during the block."""
    arguments = [in_test_folder(each) for each in command.arguments]
    path = arguments[arguments.index("--uds") + 1]
    module = module_of(command)
    with Path("server.log").open("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments[1:]],
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


def in_test_folder(text: str) -> str:
    """The text of a page with the current directory in place of each of :data:`FOLDERS`."""
    for folder in FOLDERS:
        text = text.replace(folder, os.getcwd())
    return text


def _wait_until_listening(process: subprocess.Popen[bytes], path: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        assert process.poll() is None, Path("server.log").read_text()
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(path) == 0:
                return
        time.sleep(POLL_S)  # polling, with a deadline: a socket has no event to wait for
    raise AssertionError(f"no server listens on {path}:\n{Path('server.log').read_text()}")
