"""One server process: started on a CPU of its own, observed and stopped.

Input: a command line with ``{port}`` in it. Output: a :class:`RunningServer` that accepts
connections, with the CPU time and the memory of its whole process tree. These are read from
``/proc``, and None on systems without it. Runs on the calling thread.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bridge.errors import BridgeError

__all__ = ["HOST", "PORT", "RunningServer", "StartFailed", "cpu_s_of_tree", "run_server", "taskset"]

HOST = "127.0.0.1"
PORT = "{port}"
"""The placeholder for the port in a command line."""
START_TIMEOUT_S = 60.0
EXIT_TIMEOUT_S = 5.0
POLL_S = 0.02
LOG_TAIL_CHARS = 4000

_PROC = Path("/proc")
_TICK_S = 1 / os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0.01


class StartFailed(BridgeError):
    """A server exited, or did not listen in time. The message ends with the server's output."""


def taskset(cpu: int) -> list[str]:
    """The prefix that pins a command to one CPU; empty where that is not possible.

    :param cpu: 0 for servers, 1 for load generators; an index into the CPUs this process may use.
    """
    if not hasattr(os, "sched_getaffinity") or shutil.which("taskset") is None:
        return []
    usable = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(usable[cpu])] if len(usable) > cpu else []


@dataclass(frozen=True)
class RunningServer:
    """A server that accepts connections."""

    process: subprocess.Popen[bytes]
    port: int
    log_file: IO[bytes]

    def url(self, path: str = "/") -> str:
        return f"http://{HOST}:{self.port}{path}"

    def log(self) -> str:
        """The end of its output so far."""
        self.log_file.flush()
        return Path(self.log_file.name).read_text("utf-8", "replace")[-LOG_TAIL_CHARS:]

    def cpu_s(self) -> float | None:
        """CPU seconds that its processes have used, user and system, in steps of 10 ms."""
        return cpu_s_of_tree(self.process.pid)

    def rss_mb(self) -> float | None:
        """Current resident memory of all its processes, in MB."""
        return _sum(_memory_mb(pid, "VmRSS") for pid in self._pids())

    def peak_mb(self) -> float | None:
        """Peak resident memory of all its processes since :meth:`reset_peak`, or ever, in MB."""
        return _sum(_memory_mb(pid, "VmHWM") for pid in self._pids())

    def reset_peak(self) -> None:
        """Restart :meth:`peak_mb` from the current memory, where the kernel permits it."""
        for pid in self._pids():
            with contextlib.suppress(OSError):
                (_PROC / str(pid) / "clear_refs").write_text("5")

    def _pids(self) -> list[int]:
        return [self.process.pid, *_descendants(self.process.pid)]


def cpu_s_of_tree(pid: int) -> float | None:
    """CPU seconds that a process and its descendants have used, user and system, in steps of 10 ms.

    None if there is no such process, or no ``/proc``.
    """
    return _sum(_cpu_s(each) for each in [pid, *_descendants(pid)])


@contextmanager
def run_server(
    name: str,
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    exit_timeout_s: float = EXIT_TIMEOUT_S,
) -> Iterator[RunningServer]:
    """Run a server for the duration of the block.

    :param name: for messages.
    :param command: arguments for this interpreter; ``{port}`` stands for the port.
    :param env: added to the environment of this process.
    :param exit_timeout_s: after SIGTERM, until the server is killed.
    :raises StartFailed: it does not accept connections.
    """
    port = _free_port()
    arguments = [argument.replace(PORT, str(port)) for argument in command]
    with tempfile.NamedTemporaryFile(prefix="bridge-bench-") as log:  # an unread pipe would block
        process = subprocess.Popen(
            [*taskset(0), sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            cwd=cwd,
        )
        server = RunningServer(process, port, log)
        try:
            _wait_until_listening(name, server)
            yield server
        finally:
            _stop(process, exit_timeout_s)


def _wait_until_listening(name: str, server: RunningServer) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        code = server.process.poll()
        if code is not None:
            raise StartFailed(f"{name} exited with code {code}. Its output:\n{server.log()}")
        if _is_listening(server.port):
            return
        time.sleep(POLL_S)  # polling, with a deadline: a port has no event to wait for
    raise StartFailed(
        f"{name} did not listen within {START_TIMEOUT_S:.0f} s. Its output:\n{server.log()}"
    )


def _is_listening(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def _stop(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    """Send SIGTERM; after the timeout, kill the whole process tree."""
    descendants = _descendants(process.pid)
    process.terminate()
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:  # uvicorn waits for asgiref's adapter under load
        process.kill()
        process.wait()
        for pid in descendants:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)


def _descendants(root: int) -> list[int]:
    parents = dict(_parents())
    tree = [root]
    for pid in tree:  # grows during the iteration
        tree += [child for child, parent in parents.items() if parent == pid]
    return tree[1:]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


# -- /proc -----------------------------------------------------------------------------------------


def _parents() -> Iterator[tuple[int, int]]:
    """Each process id and its parent's."""
    names = os.listdir(_PROC) if _PROC.is_dir() else []
    for name in names:
        if name.isdigit():
            fields = _stat(int(name))
            if fields:
                yield int(name), int(fields[1])


def _stat(pid: int) -> list[str]:
    """``/proc/PID/stat`` from its third field on; empty if the process has exited."""
    try:
        return (_PROC / str(pid) / "stat").read_text("latin-1").rpartition(")")[2].split()
    except OSError:
        return []


def _cpu_s(pid: int) -> float | None:
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) * _TICK_S if fields else None


def _memory_mb(pid: int, field: str) -> float | None:
    with contextlib.suppress(OSError):
        for line in (_PROC / str(pid) / "status").read_text("latin-1").splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) / 1024
    return None


def _sum(parts: Iterator[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if known else None
