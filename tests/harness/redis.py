"""A private Redis server for the length of a block, which can be restarted on its port.

What enters: nothing. What leaves: a :class:`RedisServer` that answers on a free TCP port of the
loopback and keeps nothing on disk. It is a child process of the test's, which starts it, waits for
its first answer, and waits for its end.
"""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.harness.ports import HOST, held_port, port_of
from tests.harness.tools import program

TIMEOUT_S = 30.0
POLL_S = 0.02


class RedisFailed(AssertionError):
    """Redis did not start. The message ends with its log."""


@dataclass
class RedisServer:
    """One running server. Made by :func:`redis_server`."""

    folder: Path
    port: int
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://{HOST}:{self.port}/0"

    def start(self) -> None:
        """Start it, and wait for its first answer.

        :raises RedisFailed: it exited, or did not answer in time.
        """
        binary = program("redis-server", package="redis-server")
        options = {"bind": HOST, "port": self.port, "dir": self.folder, "appendonly": "no"}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [binary, *words, "--save", ""],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the tests, which then end the server
            )
        self._wait_until_ready(self._process)

    def stop(self) -> None:
        """End it; its clients lose their connections. Harmless when it is gone."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait(TIMEOUT_S)

    def log(self) -> str:
        """Everything that it wrote so far."""
        return (self.folder / "log").read_text("utf-8", "replace")

    def ask(self, command: str) -> bytes:
        """Send one inline command and return the first piece of the answer."""
        with socket.create_connection((HOST, self.port), timeout=5) as line:
            line.sendall(command.encode() + b"\r\n")
            return line.recv(65536)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise RedisFailed(f"redis-server exited with {process.returncode}:\n{self.log()}")
            try:
                if self.ask("PING").startswith(b"+PONG"):
                    return
            except OSError:
                pass
            time.sleep(POLL_S)  # polling, with a deadline: a port has no event to wait for
        raise RedisFailed(f"redis-server did not answer in {TIMEOUT_S} s:\n{self.log()}")


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """Run Redis for the length of the block.

    :raises RedisFailed: it did not start.
    """
    with tempfile.TemporaryDirectory(prefix="bridge-redis-") as folder, held_port() as holder:
        server = RedisServer(Path(folder), port_of(holder))
        try:
            server.start()
            yield server
        finally:
            server.stop()
