"""Starts real servers as subprocesses, measures them and stops them.

:func:`serve` takes the name of a server and the ``module:attr`` of an app, and yields a
:class:`Server` that has answered its first request. The test's thread starts and stops the process.
Each server leads its own process group, which is killed at the end in any case, so that no worker
process outlives its test.

A server that accepts an open socket gets one bound to a free port. The others get the number of a
reserved port (:mod:`tests.harness.ports`).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

from tests.harness.ports import HOST, held_port, port_of

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 60.0
POLL_S = 0.02


@dataclass(frozen=True)
class Address:
    """A port to listen on, and the descriptor of a socket bound to it, if any."""

    port: int
    fd: int | None = None


@dataclass(frozen=True)
class ServerSpec:
    """How to start a server.

    :ivar name: the id in parametrized tests.
    :ivar kind: the interface between the server and the app.
    :ivar command: returns the arguments after ``python -m`` for an address and a target.
    :ivar inherits_socket: accepts an open socket by its descriptor.
    :ivar grace: returns the arguments for a grace period at SIGTERM, in whole seconds.
    :ivar root_path: returns the arguments for a root path; None if the server has no such option.
    :ivar http: the HTTP version of the test client.
    """

    name: str
    kind: Literal["asgi", "wsgi"]
    command: Callable[[Address, str], list[str]]
    inherits_socket: bool = False
    grace: Callable[[int], list[str]] = lambda seconds: []
    root_path: Callable[[str], list[str]] | None = None
    http: Literal["1.1", "2"] = "1.1"


def _uvicorn(loop: str, http: str) -> Callable[[Address, str], list[str]]:
    def command(at: Address, target: str) -> list[str]:
        fixed = ["--loop", loop, "--http", http, "--no-access-log", "--no-use-colors"]
        return ["uvicorn", target, "--fd", str(at.fd), *fixed]

    return command


def _hypercorn(at: Address, target: str) -> list[str]:
    # Over HTTP/2, hypercorn 0.18 does not reset the stream of an app that failed: the client waits
    # until the idle connection is closed. One second instead of five keeps the tests short.
    keep_alive = ["--keep-alive", "1"]
    return ["hypercorn", target, "--bind", f"fd://{at.fd}", "--workers", "0", *keep_alive]


def _granian(at: Address, target: str) -> list[str]:
    where = ["--host", HOST, "--port", str(at.port)]
    return ["granian", target, "--interface", "asgi", *where, "--loop", "asyncio"]


def _granian_wsgi(at: Address, target: str) -> list[str]:
    return ["granian", target, "--interface", "wsgi", "--host", HOST, "--port", str(at.port)]


def _daphne(at: Address, target: str) -> list[str]:
    return ["daphne", "--bind", HOST, "--port", str(at.port), "--verbosity", "1", target]


def _gunicorn(*worker: str) -> Callable[[Address, str], list[str]]:
    def command(at: Address, target: str) -> list[str]:
        fixed = ["--workers", "1", "--worker-tmp-dir", "/dev/shm", *_without_control_socket()]
        return ["gunicorn", target, "--bind", f"fd://{at.fd}", *fixed, *worker]

    return command


@cache
def _without_control_socket() -> list[str]:
    """The option, for a gunicorn that has it."""
    from gunicorn.config import KNOWN_SETTINGS  # type: ignore[import-untyped]  # has no types

    option = "--no-control-socket"
    return [option] if any(option in (each.cli or ()) for each in KNOWN_SETTINGS) else []


def _waitress(at: Address, target: str) -> list[str]:
    return ["waitress", f"--listen={HOST}:{at.port}", "--threads=4", target]


def _option(name: str) -> Callable[[object], list[str]]:
    return lambda value: [name, str(value)]


def _uvicorn_spec(name: str, loop: str, http: str) -> ServerSpec:
    return ServerSpec(
        name,
        "asgi",
        _uvicorn(loop, http),
        inherits_socket=True,
        grace=_option("--timeout-graceful-shutdown"),
        root_path=_option("--root-path"),
    )


def _hypercorn_spec(name: str, http: Literal["1.1", "2"]) -> ServerSpec:
    return ServerSpec(
        name,
        "asgi",
        _hypercorn,
        inherits_socket=True,
        grace=_option("--graceful-timeout"),
        root_path=_option("--root-path"),
        http=http,
    )


def _gunicorn_spec(
    name: str,
    kind: Literal["asgi", "wsgi"],
    *worker: str,
    root_path: Callable[[str], list[str]] | None = None,
) -> ServerSpec:
    return ServerSpec(
        name,
        kind,
        _gunicorn(*worker),
        inherits_socket=True,
        grace=_option("--graceful-timeout"),
        root_path=root_path,
    )


_ALL = [
    _uvicorn_spec("uvicorn-h11", "asyncio", "h11"),
    _uvicorn_spec("uvicorn-httptools", "asyncio", "httptools"),
    _uvicorn_spec("uvicorn-uvloop", "uvloop", "httptools"),
    _hypercorn_spec("hypercorn", "1.1"),
    _hypercorn_spec("hypercorn-h2", "2"),
    ServerSpec(
        "granian",
        "asgi",
        _granian,
        grace=_option("--workers-kill-timeout"),
        root_path=_option("--url-path-prefix"),
    ),
    ServerSpec(
        "daphne",
        "asgi",
        _daphne,
        grace=_option("--application-close-timeout"),
        root_path=_option("--root-path"),
    ),
    _gunicorn_spec("gunicorn-asgi", "asgi", "-k", "asgi", root_path=_option("--root-path")),
    _gunicorn_spec("gunicorn-sync", "wsgi", "-k", "sync"),
    _gunicorn_spec("gunicorn-gthread", "wsgi", "-k", "gthread", "--threads", "4"),
    ServerSpec("granian-wsgi", "wsgi", _granian_wsgi, grace=_option("--workers-kill-timeout")),
    ServerSpec("waitress", "wsgi", _waitress),
]

SERVERS: Mapping[str, ServerSpec] = {spec.name: spec for spec in _ALL}
ASGI_SERVERS = [spec.name for spec in _ALL if spec.kind == "asgi"]
WSGI_SERVERS = [spec.name for spec in _ALL if spec.kind == "wsgi"]


class ServerFailed(AssertionError):
    """A server did not start or did not exit in time. The message includes its log."""


@dataclass(frozen=True)
class Exit:
    """How a server exited.

    :ivar exit_code: like ``Popen.returncode``: negative for a signal.
    :ivar took_s: seconds from the signal to the exit of the process.
    """

    exit_code: int
    took_s: float


@dataclass
class Server:
    """A running server, created by :func:`serve`.

    :ivar pid: the process that was started; see :meth:`serving_pids` for those that run the app.
    """

    spec: ServerSpec
    target: str
    port: int
    process: subprocess.Popen[bytes]
    log_path: Path
    host: str = HOST
    _exit: Exit | None = field(default=None, repr=False)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def log(self, since: int = 0) -> str:
        """The output on stdout and stderr, from byte ``since`` on."""
        with self.log_path.open("rb") as log:
            log.seek(since)
            return log.read().decode("utf-8", "replace")

    def wait_for_log(self, text: str, times: int = 1, timeout_s: float = 30.0) -> str:
        """Wait until the log contains ``text``: servers log a request after its response.

        :param times: the number of occurrences to wait for.
        :returns: the log.
        :raises ServerFailed: it does not after ``timeout_s``. The message includes the log.
        """
        deadline = time.monotonic() + timeout_s
        while (log := self.log()).count(text) < times:
            if time.monotonic() > deadline:
                raise ServerFailed(f"no {text!r} in the log of {self.spec.name}:\n{log}")
            time.sleep(POLL_S)
        return log

    def log_size(self) -> int:
        """The size of the log in bytes, to pass to :meth:`log` later."""
        return self.log_path.stat().st_size

    def serving_pids(self) -> list[int]:
        """The processes that run the app: the leaves of the process tree."""
        return [pid for pid in _leaves(self.pid) if not _is_helper(pid)]

    def rss_bytes(self) -> int:
        """Resident memory of the processes that run the app."""
        return sum(_status_number(pid, "VmRSS") * 1024 for pid in self.serving_pids())

    def peak_rss_bytes(self) -> int:
        """Peak resident memory since the start or the last :meth:`reset_peak_rss`."""
        return sum(_status_number(pid, "VmHWM") * 1024 for pid in self.serving_pids())

    def reset_peak_rss(self) -> None:
        """Reset the peak to the current resident memory (proc(5), clear_refs)."""
        for pid in self.serving_pids():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def threads(self) -> int:
        """The number of OS threads of the processes that run the app."""
        return sum(_status_number(pid, "Threads") for pid in self.serving_pids())

    def fds(self) -> int:
        """The number of open descriptors of the processes that run the app."""
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.serving_pids())

    def open_files(self) -> int:
        """The number of open descriptors of files, deleted ones included: no sockets or pipes."""
        links = [
            f"/proc/{pid}/fd/{number}"
            for pid in self.serving_pids()
            for number in os.listdir(f"/proc/{pid}/fd")
        ]
        return sum(os.path.islink(link) and os.readlink(link).startswith("/") for link in links)

    def open_files_at_rest(self, at_most: int, timeout_s: float = 15.0) -> int:
        """The same, once there are no more than ``at_most``: a server may close a file late."""
        deadline = time.monotonic() + timeout_s
        while (count := self.open_files()) > at_most and time.monotonic() < deadline:
            time.sleep(POLL_S)
        return count

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process that was started, as a service manager does."""
        self.process.send_signal(number)

    def terminate(self, grace_s: float = 20.0) -> Exit:
        """Send SIGTERM and wait for the exit. Further calls return the first result.

        :param grace_s: how long to wait for the exit.
        :raises ServerFailed: the server still runs after ``grace_s``. :func:`serve` kills it.
        """
        if self._exit is None:
            started = time.monotonic()
            if self.process.poll() is None:
                self.signal(signal.SIGTERM)
            self._exit = self._wait(started, grace_s)
        return self._exit

    def _wait(self, started: float, grace_s: float) -> Exit:
        try:
            exit_code = self.process.wait(grace_s)
        except subprocess.TimeoutExpired:
            raise ServerFailed(
                f"{self.spec.name} still runs {grace_s} s after SIGTERM:\n{self.log()}"
            ) from None
        return Exit(exit_code, time.monotonic() - started)

    def kill(self) -> None:
        """Kill the process and its group. Idempotent."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


@contextmanager
def serve(
    server: ServerSpec | str,
    target: str,
    *,
    env: Mapping[str, str] | None = None,
    args: Sequence[str] = (),
    cwd: Path = ROOT,
    ready_path: str | None = "/",
    log_dir: Path | None = None,
    python: str | Path = sys.executable,
    start_timeout_s: float = START_TIMEOUT_S,
) -> Iterator[Server]:
    """Run ``target`` on ``server`` for the block.

    :param target: ``module:attr``, importable from ``cwd`` or from the repository's root.
    :param env: environment variables to add to the test's own.
    :param args: further arguments for the server's command line.
    :param ready_path: the path to request until the server responds; None to wait only for a
        connection.
    :param log_dir: the directory of the log; a temporary directory by default.
    :param python: the interpreter, of another environment if need be.
    :param start_timeout_s: how long to wait for the first response.
    :raises ServerFailed: the server exited or did not respond in that time. The message includes
        its log.
    """
    spec = SERVERS[server] if isinstance(server, str) else server
    with tempfile.TemporaryDirectory(prefix="bridge-server-") as temporary, held_port() as holder:
        log_path = Path(log_dir or temporary) / f"{spec.name}.log"
        running = _Launch(spec, target, env or {}, args, cwd, log_path, python).at(holder)
        try:
            _wait_until_ready(running, ready_path, start_timeout_s)
            yield running
            running.terminate()
        finally:
            running.kill()


@dataclass(frozen=True)
class _Launch:
    spec: ServerSpec
    target: str
    env: Mapping[str, str]
    args: Sequence[str]
    cwd: Path
    log_path: Path
    python: str | Path

    def at(self, holder: socket.socket) -> Server:
        """Start the server on the reserved port. A server that inherits the socket owns it then."""
        port = port_of(holder)
        if not self.spec.inherits_socket:
            return self._spawn(Address(port), ())
        # Accepted connections inherit it. uvicorn treats --fd as a Unix socket and does not set it.
        holder.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with holder:
            return self._spawn(Address(port, holder.fileno()), (holder.fileno(),))

    def _spawn(self, at: Address, pass_fds: Sequence[int]) -> Server:
        command = [str(self.python), "-m", *self.spec.command(at, self.target), *self.args]
        with self.log_path.open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.cwd,
                env=self._environment(),
                pass_fds=pass_fds,
                start_new_session=True,
            )
        return Server(self.spec, self.target, at.port, process, self.log_path)

    def _environment(self) -> dict[str, str]:
        paths = [str(self.cwd), str(ROOT), os.environ.get("PYTHONPATH", "")]
        extra = {
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "PYTHONUNBUFFERED": "1",
            "NO_COLOR": "1",
        }
        return {**os.environ, **extra, **self.env}


def _wait_until_ready(running: Server, ready_path: str | None, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if running.process.poll() is not None:
            raise ServerFailed(
                f"{running.spec.name} exited with {running.process.returncode} "
                f"before it answered:\n{running.log()}"
            )
        if _answers(running.port, ready_path, deadline):
            return
        time.sleep(POLL_S)  # poll with a deadline: a port offers no event to wait for
    raise ServerFailed(f"{running.spec.name} did not answer within {timeout_s} s:\n{running.log()}")


def _answers(port: int, path: str | None, deadline: float) -> bool:
    remaining = max(0.1, min(5.0, deadline - time.monotonic()))
    try:
        with socket.create_connection((HOST, port), timeout=remaining) as connection:
            if path is None:
                return True
            connection.sendall(
                f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n\r\n".encode()
            )
            return bool(connection.recv(1))
    except OSError:
        return False


def _leaves(pid: int) -> list[int]:
    children = _children(pid)
    if not any(not _is_helper(child) for child in children):
        return [pid]
    return [leaf for child in children for leaf in _leaves(child)]


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found.extend(int(child) for child in task.read_text().split())
        except OSError:  # the thread ended between listing and reading
            continue
    return found


def _is_helper(pid: int) -> bool:
    """Whether it is a helper process of ``multiprocessing``, which does not run the app."""
    try:
        return b"resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True


def _status_number(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise KeyError(f"no {name} in /proc/{pid}/status")
