"""``bridge run`` on a socket that stays open while it restarts, as with socket activation.

:class:`Activated` owns the listening socket and starts the command with it, again and again. Each
process leads its own process group, which is killed at the end of the block.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.harness.servers import ROOT

__all__ = ["Activated", "activated"]

TIMEOUT_S = 30.0


class Activated:
    """The socket, and the command that is running on it now."""

    def __init__(
        self, listener: socket.socket, command: Sequence[str], env: Mapping[str, str], cwd: Path
    ) -> None:
        self.listener = listener
        self._command = command
        self._env = {**os.environ, "PYTHONPATH": f"{cwd}:{ROOT}", "NO_COLOR": "1", **env}
        self._cwd = cwd
        self._process: subprocess.Popen[str] | None = None
        self._err = ""

    @property
    def port(self) -> int:
        """The port, of a TCP socket."""
        port: int = self.listener.getsockname()[1]
        return port

    @property
    def pid(self) -> int:
        """The process id of the command."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the command. Clients may connect before it is ready."""
        fd = self.listener.fileno()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bridge", "run", *self._command, "--fd", str(fd)],
            cwd=self._cwd,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=[fd],
            start_new_session=True,
        )

    def stop(self) -> str:
        """Send SIGTERM and wait for the exit.

        :returns: what it wrote to stderr.
        """
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        _, err = self._process.communicate(timeout=TIMEOUT_S)
        assert self._process.returncode == 0, err
        return err

    def wait(self) -> int:
        """Wait until it exits by itself.

        :returns: the exit code.
        """
        assert self._process is not None
        _, self._err = self._process.communicate(timeout=TIMEOUT_S)
        return self._process.returncode

    def error(self) -> str:
        """What it wrote to stderr, after :meth:`wait`."""
        return self._err

    def kill(self) -> None:
        """Kill the process and its group. Idempotent."""
        if self._process is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self._process.communicate()


@contextmanager
def activated(
    listener: socket.socket, *command: str, cwd: Path, env: Mapping[str, str] | None = None
) -> Iterator[Activated]:
    """``bridge run`` with this command line on ``listener``, until the end of the block."""
    service = Activated(listener, command, env or {}, cwd)
    try:
        service.start()
        yield service
    finally:
        service.kill()
