"""One server process: started on a CPU of its own, watched, and ended.

What enters: a command line with ``{port}`` in it. What leaves: a :class:`Running` server that takes
connections, and what the whole tree of its processes has used. CPU time and memory come from
``/proc``, so they are None where there is none. The caller's thread; the block ends the server.
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

__all__ = ["HOST", "PORT", "DidNotStart", "Running", "pinned", "running"]

HOST = "127.0.0.1"
PORT = "{port}"
"""Stands for the port in a command line."""
BOOT_S = 60.0
EXIT_S = 5.0
POLL_S = 0.02
LOG_TAIL_CHARS = 4000

_PROC = Path("/proc")
_TICK_S = 1 / os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0.01


class DidNotStart(BridgeError):
    """A server ended, or did not listen in time. The message ends with what it logged."""


def pinned(cpu: int) -> list[str]:
    """What to put before a command so that it runs on one CPU; nothing where that cannot be.

    :param cpu: 0 for servers, 1 for what asks them; counted among the CPUs this process may use.
    """
    if not hasattr(os, "sched_getaffinity") or shutil.which("taskset") is None:
        return []
    usable = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(usable[cpu])] if len(usable) > cpu else []


@dataclass(frozen=True)
class Running:
    """A server that takes connections."""

    process: subprocess.Popen[bytes]
    port: int
    log_file: IO[bytes]

    def url(self, path: str = "/") -> str:
        return f"http://{HOST}:{self.port}{path}"

    def log(self) -> str:
        """The end of what it wrote so far."""
        self.log_file.flush()
        return Path(self.log_file.name).read_text("utf-8", "replace")[-LOG_TAIL_CHARS:]

    def cpu_s(self) -> float | None:
        """CPU seconds that its processes have used, user and system. Steps of 10 ms."""
        return _sum(_cpu_s(pid) for pid in self._pids())

    def rss_mb(self) -> float | None:
        """Resident memory of all its processes now, in MB."""
        return _sum(_memory_mb(pid, "VmRSS") for pid in self._pids())

    def peak_mb(self) -> float | None:
        """The same at its highest since :meth:`reset_peak`, or ever."""
        return _sum(_memory_mb(pid, "VmHWM") for pid in self._pids())

    def reset_peak(self) -> None:
        """Let :meth:`peak_mb` begin anew, where the kernel lets us."""
        for pid in self._pids():
            with contextlib.suppress(OSError):
                (_PROC / str(pid) / "clear_refs").write_text("5")

    def _pids(self) -> list[int]:
        """Its processes: the first one, its children, and theirs."""
        return [self.process.pid, *_descendants(self.process.pid)]


@contextmanager
def running(
    name: str,
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    patience_s: float = EXIT_S,
) -> Iterator[Running]:
    """Serve for the length of the block.

    :param name: for messages.
    :param command: arguments for this interpreter; ``{port}`` stands for the port.
    :param env: added to this process's environment.
    :param patience_s: how long it gets to end, before it is killed.
    :raises DidNotStart: see there.
    """
    port = _free_port()
    words = [word.replace(PORT, str(port)) for word in command]
    with tempfile.NamedTemporaryFile(prefix="bridge-bench-") as log:  # an unread pipe would block
        process = subprocess.Popen(
            [*pinned(0), sys.executable, *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            cwd=cwd,
        )
        server = Running(process, port, log)
        try:
            _wait_for(name, server)
            yield server
        finally:
            _end(process, patience_s)


def _wait_for(name: str, server: Running) -> None:
    deadline = time.monotonic() + BOOT_S
    while time.monotonic() < deadline:
        code = server.process.poll()
        if code is not None:
            raise DidNotStart(f"{name} ended with exit code {code}. It wrote:\n{server.log()}")
        if _listens(server.port):
            return
        time.sleep(POLL_S)  # polling, with a deadline: a port has no event to wait for
    raise DidNotStart(f"{name} does not listen after {BOOT_S:.0f} s. It wrote:\n{server.log()}")


def _listens(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def _end(process: subprocess.Popen[bytes], patience_s: float) -> None:
    """SIGTERM, and what is left of the tree after a while is killed."""
    left = _descendants(process.pid)
    process.terminate()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:  # asgiref's adapter under load leaves uvicorn waiting
        process.kill()
        process.wait()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)


def _descendants(root: int) -> list[int]:
    parents = dict(_parents())
    tree = [root]
    for pid in tree:  # grows while it is walked
        tree += [child for child, parent in parents.items() if parent == pid]
    return tree[1:]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


# -- /proc -----------------------------------------------------------------------------------------


def _parents() -> Iterator[tuple[int, int]]:
    """Each process and its parent."""
    names = os.listdir(_PROC) if _PROC.is_dir() else []
    for name in names:
        if name.isdigit():
            fields = _stat(int(name))
            if fields:
                yield int(name), int(fields[1])


def _stat(pid: int) -> list[str]:
    """``/proc/PID/stat`` from its third field on; nothing if the process has gone."""
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
