"""Runs `bridge` as a subprocess, and looks for processes that it leaves behind.

A command line becomes a running :class:`~tests.harness.servers.Server`, or a :class:`Finished`
command.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
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
    """``bridge run target --server server args`` until the end of the block."""
    environment = {"HOME": os.environ.get("TMPDIR", "/tmp"), **(env or {})}
    with serve(_spec(server), target, args=args, env=environment, cwd=cwd) as started:
        yield started


def client_of(server: Server) -> Http1Client:
    return Http1Client(server.port)


def facts(server: Server, path: str = "/", host: str = "site.example") -> dict[str, Any]:
    """What the app reports about itself and the request."""
    response = client_of(server).fetch("GET", path, [("host", host)])
    assert response.status == 200, response
    reported: dict[str, Any] = json.loads(response.body)
    return reported


def fetch_unix(socket_path: Path, *lines: str, path: str = "/") -> bytes:
    """Wait until a server listens on the socket, and GET ``path`` with these header lines: the
    body.
    """
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        with closing(socket.socket(socket.AF_UNIX)) as client:
            try:
                client.connect(str(socket_path))
            except OSError:
                assert time.monotonic() < deadline, "the server does not listen"
                time.sleep(POLL_S)  # polling, with a deadline: a socket file has no event
                continue
            return _body(client, path, lines)


def fetch_from(source: str, server: Server, path: str, *lines: str) -> bytes:
    """GET ``path`` from another address of this machine, such as 127.0.0.2: the body."""
    address = (HOST, server.port)
    with closing(socket.create_connection(address, TIMEOUT_S, (source, 0))) as client:
        return _body(client, path, lines)


def _body(client: socket.socket, path: str, lines: Iterable[str]) -> bytes:
    head = [f"GET {path} HTTP/1.1", "host: site.example", "connection: close", *lines, "", ""]
    client.sendall("\r\n".join(head).encode())
    received = b"".join(iter(lambda: client.recv(65536), b""))
    return received.partition(b"\r\n\r\n")[2]


def send_stop(server: Server, number: signal.Signals) -> None:
    """Send SIGTERM as a service manager does, SIGINT as a terminal does: to the whole group."""
    if number is signal.SIGINT:
        os.killpg(server.pid, number)
    else:
        server.signal(number)


def stop(server: Server, number: signal.Signals) -> int:
    """Send the signal, wait for the process to exit, and return its exit code."""
    send_stop(server, number)
    try:
        return server.process.wait(TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise AssertionError(
            f"still running {TIMEOUT_S} s after {number.name}:\n{server.log()}"
        ) from None


def left_behind(server: Server) -> list[str]:
    """The command lines of processes of the server's session that do not exit."""
    deadline = time.monotonic() + TIMEOUT_S
    while _members(server.pid) and time.monotonic() < deadline:
        time.sleep(POLL_S)  # multiprocessing's helper process exits shortly after its master
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


def wait_for_shutdown(server: Server) -> None:
    """Wait until the shutdown has begun: the server accepts no connections, or logs it."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        # uvicorn with workers, and gunicorn, listen until the last worker has finished.
        if (
            _rejects_connections(server)
            or "Shutting down" in server.log()
            or "signal: term" in server.log()
        ):
            return
        time.sleep(POLL_S)  # polling, with a deadline: a port has no event to wait for
    raise AssertionError(f"no shutdown within {TIMEOUT_S} s:\n{server.log()}")


def _rejects_connections(server: Server) -> bool:
    try:
        socket.create_connection((HOST, server.port), timeout=1).close()
    except OSError:
        return True
    return False


@dataclass(frozen=True)
class Finished:
    """The exit code and the output of a command."""

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
    """Run a command that exits without a signal."""
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
    """Start ``bridge run`` without waiting until it serves."""
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
