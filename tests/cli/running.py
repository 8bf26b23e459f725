"""`bridge run` as a subprocess, and what it leaves behind.

What enters: a command line. What leaves: a running :class:`~tests.harness.servers.Server`, or the
finished process of a command that was to fail.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.harness.http import Http1Client
from tests.harness.ports import HOST
from tests.harness.servers import ROOT, Address, Server, ServerSpec, serve

APPS = Path(__file__).parent / "apps"
TIMEOUT_S = 30.0
POLL_S = 0.02

ASGI_SERVERS = ["uvicorn", "granian", "hypercorn", "daphne"]
WSGI_SERVERS = ["gunicorn", "waitress"]
SERVERS = ASGI_SERVERS + WSGI_SERVERS
MULTI = ["uvicorn", "granian", "hypercorn", "gunicorn"]
TARGETS = {"flask": "flask_site:app", "fastapi": "fastapi_site:app", "django": "django_shop"}


def _spec(server: str) -> ServerSpec:
    def command(at: Address, target: str) -> list[str]:
        return ["bridge", "run", target, "--server", server, "--port", str(at.port)]

    return ServerSpec(f"bridge run --server {server}", "asgi", command)


@contextmanager
def running(
    server: str, target: str, *args: str, env: Mapping[str, str] | None = None, cwd: Path = APPS
) -> Iterator[Server]:
    """``bridge run target --server server args`` for the length of the block."""
    environment = {"HOME": os.environ.get("TMPDIR", "/tmp"), **(env or {})}
    with serve(_spec(server), target, args=args, env=environment, cwd=cwd) as started:
        yield started


def client_of(server: Server) -> Http1Client:
    return Http1Client(server.port)


def facts(server: Server, path: str = "/", host: str = "site.example") -> dict[str, Any]:
    """What the app says of itself and of the request."""
    response = client_of(server).fetch("GET", path, [("host", host)])
    assert response.status == 200, response
    told: dict[str, Any] = json.loads(response.body)
    return told


def tell_to_end(server: Server, number: signal.Signals) -> None:
    """SIGTERM as a service manager sends it, SIGINT as a terminal does: to all of the group."""
    if number is signal.SIGINT:
        os.killpg(server.pid, number)
    else:
        server.signal(number)


def end(server: Server, number: signal.Signals) -> int:
    """Tell it to end, wait until it has, and give its exit code."""
    tell_to_end(server, number)
    try:
        return server.process.wait(TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise AssertionError(
            f"still there {TIMEOUT_S} s after {number.name}:\n{server.log()}"
        ) from None


def left_behind(server: Server) -> list[str]:
    """The command lines of processes of the server's session that do not end."""
    deadline = time.monotonic() + TIMEOUT_S
    while _members(server.pid) and time.monotonic() < deadline:
        time.sleep(POLL_S)  # multiprocessing's own helper process ends a moment after its master
    return [_command_line(pid) for pid in _members(server.pid)]


def _members(session: int) -> list[int]:
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in pids if _session(pid) == session]


def _session(pid: int) -> int | None:
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if after_name[0] == "Z" else int(after_name[3])


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def wait_until_ending(server: Server) -> None:
    """Until its shutdown has begun: it takes no new connections, or says so."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        # uvicorn with workers, and gunicorn, listen until the last worker has finished.
        if _is_deaf(server) or "Shutting down" in server.log() or "signal: term" in server.log():
            return
        time.sleep(POLL_S)  # polling, with a deadline: a port has no event to wait for
    raise AssertionError(f"no shutdown within {TIMEOUT_S} s:\n{server.log()}")


def _is_deaf(server: Server) -> bool:
    try:
        socket.create_connection((HOST, server.port), timeout=1).close()
    except OSError:
        return True
    return False


@dataclass(frozen=True)
class Finished:
    """How a command went."""

    code: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        return self.err.rstrip().rpartition("\n")[2]


def bridge(
    *args: str,
    env: Mapping[str, str] | None = None,
    cwd: Path = APPS,
    module: str = "bridge",
    timeout_s: float = TIMEOUT_S,
) -> Finished:
    """Run a command that is to end by itself."""
    done = subprocess.run(
        [sys.executable, "-m", module, *args],
        cwd=cwd,
        env=_environment(env),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def start(target: str, *args: str, cwd: Path = APPS) -> subprocess.Popen[str]:
    """Start ``bridge run`` without waiting for anything."""
    return subprocess.Popen(
        [sys.executable, "-m", "bridge", "run", target, *args],
        cwd=cwd,
        env=_environment(None),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _environment(env: Mapping[str, str] | None) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", **(env or {})}
