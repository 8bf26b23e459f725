"""A temporary Redis server, which can be restarted on its port.

:func:`redis_server` yields a :class:`RedisServer` that listens on a free loopback TCP port and
stores nothing on disk. It is a child process of the test, which waits until it answers and, after
the block, until it has exited.
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
from tests.harness.tools import find_program

TIMEOUT_S = 30.0
POLL_S = 0.02


class RedisFailed(AssertionError):
    """Redis did not start. The message includes its log."""


@dataclass
class RedisServer:
    """A running server, created by :func:`redis_server`."""

    folder: Path
    port: int
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """The URL of database 0."""
        return f"redis://{HOST}:{self.port}/0"

    def start(self) -> None:
        """Start the server and wait until it answers.

        :raises RedisFailed: it exited or did not answer in time.
        """
        binary = find_program("redis-server", package="redis-server")
        options = {"bind": HOST, "port": self.port, "dir": self.folder, "appendonly": "no"}
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [binary, *arguments, "--save", ""],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches only the tests, which then stop the server
            )
        self._wait_until_ready(self._process)

    def stop(self) -> None:
        """Stop the server, which disconnects its clients. Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait(TIMEOUT_S)

    def log(self) -> str:
        """The log so far."""
        return (self.folder / "log").read_text("utf-8", "replace")

    def send_command(self, command: str) -> bytes:
        """Send one inline command and return the first part of the reply."""
        with socket.create_connection((HOST, self.port), timeout=5) as connection:
            connection.sendall(command.encode() + b"\r\n")
            return connection.recv(65536)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise RedisFailed(f"redis-server exited with {process.returncode}:\n{self.log()}")
            try:
                if self.send_command("PING").startswith(b"+PONG"):
                    return
            except OSError:
                pass
            time.sleep(POLL_S)  # poll with a deadline: a port offers no event to wait for
        raise RedisFailed(f"redis-server did not answer within {TIMEOUT_S} s:\n{self.log()}")


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """Run Redis for the block.

    :raises RedisFailed: Redis did not start.
    """
    with tempfile.TemporaryDirectory(prefix="bridge-redis-") as folder, held_port() as holder:
        server = RedisServer(Path(folder), port_of(holder))
        try:
            server.start()
            yield server
        finally:
            server.stop()
