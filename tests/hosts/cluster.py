"""Two hosts that run ``deploy/site`` behind HAProxy, with Redis and clients at the edge.

:func:`cluster` yields a :class:`Cluster` whose hosts are ready and whose clients send requests.
HAProxy runs with ``deploy/haproxy/haproxy.cfg``, as it is where the network has namespaces.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tests.harness.servers import ROOT
from tests.harness.tools import find_program
from tests.hosts.load import SOCKETS
from tests.hosts.network import Place, free_port, network

__all__ = ["Cluster", "Host", "cluster"]

SITE = ROOT / "deploy" / "site"
HAPROXY = ROOT / "deploy" / "haproxy" / "haproxy.cfg"
TIMEOUT_S = 60.0
POLL_S = 0.05
READY = """
import sys, time, urllib.request
while True:
    try:
        sys.exit(urllib.request.urlopen(sys.argv[1], timeout=5).status != 200)
    except OSError:
        time.sleep(0.1)
"""
DRAIN_S, GRACE_S = "1.5", "10"


@dataclass
class Process:
    """A program at a place, which can be started again."""

    place: Place
    command: list[str]
    log: IO[str]
    env: dict[str, str] = field(default_factory=dict)
    cwd: Path = ROOT
    running: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, and do not wait until it is ready."""
        self.running = self.place.popen(
            self.command,
            cwd=self.cwd,
            env={**os.environ, "PYTHONPATH": f"{self.cwd}:{ROOT}", **self.env},
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )

    def stop(self) -> int:
        """Send SIGTERM and wait for the exit.

        :returns: the exit code.
        """
        assert self.running is not None
        self.running.terminate()
        return self.running.wait(TIMEOUT_S)

    def kill(self) -> None:
        """Kill it and its children. Idempotent."""
        if self.running is not None:
            try:
                os.killpg(self.running.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.running.wait()


class Host(Process):
    """One host that runs the site."""

    def start_release(self, release: str) -> None:
        """Start this release of the site."""
        self.env["RELEASE"] = release
        self.start()


@dataclass
class Cluster:
    """The running cluster.

    :ivar hosts: by name.
    :ivar is_real: whether the hosts have networks of their own.
    """

    hosts: dict[str, Host]
    redis: Process
    is_real: bool
    _clients: subprocess.Popen[str]
    _logs: Path

    def counts(self) -> dict[str, Any]:
        """What the clients have counted."""
        return self._ask("counts")

    def notice(self, text: str) -> dict[str, Any]:
        """Send a notice to all WebSockets, and see which it reaches."""
        return self._ask(f"notice {text}")

    def spread_sockets(self) -> None:
        """Let the WebSockets be open on both hosts: HAProxy may still check one of them."""
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            self._ask("reopen")
            counts = self.wait_for(
                lambda counts: _open(counts) == SOCKETS, "all WebSockets are open"
            )
            if {*counts["open"]} == {*self.hosts}:
                return
        raise AssertionError(f"no WebSockets on one of the hosts\n{self.log()}")

    def wait_for(self, condition: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        """Wait until the counts fulfil the condition."""
        deadline = time.monotonic() + TIMEOUT_S
        while not condition(counts := self.counts()):
            assert time.monotonic() < deadline, (
                f"not within {TIMEOUT_S} s: {what}: {counts}\n{self.log()}"
            )
            time.sleep(POLL_S)  # polling, with a deadline: counts have no event to wait for
        return counts

    def wait_for_answers(self, number: int) -> None:
        """Wait until so many more requests are answered."""
        enough = _answered(self.counts()) + number
        self.wait_for(lambda counts: _answered(counts) >= enough, f"{number} answers")

    def log(self) -> str:
        """The ends of all logs."""
        return "\n".join(
            f"== {each.name}\n{each.read_text()[-3000:]}" for each in self._logs.iterdir()
        )

    def _ask(self, command: str) -> dict[str, Any]:
        assert self._clients.stdin is not None
        assert self._clients.stdout is not None
        self._clients.stdin.write(f"{command}\n")
        self._clients.stdin.flush()
        line = self._clients.stdout.readline()
        assert line, f"the clients have ended\n{self.log()}"
        answer: dict[str, Any] = json.loads(line)
        return answer


def _open(counts: dict[str, Any]) -> int:
    return sum(counts["open"].values())


def _answered(counts: dict[str, Any]) -> int:
    return sum(n for name, n in counts["requests"].items() if name.endswith(" answered"))


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A cluster under load until the end of the block."""
    with ExitStack() as stack:
        places = stack.enter_context(network())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bridge-hosts-")))
        logs = folder / "logs"
        logs.mkdir()

        def log(name: str) -> IO[str]:
            return stack.enter_context((logs / name).open("a"))

        edge = places["edge"]
        is_real = edge.namespace is not None
        ports = {n: 8000 if is_real else free_port(place.address) for n, place in places.items()}
        redis_port = 6379 if is_real else free_port(edge.address)
        redis = Process(edge, _redis(edge, redis_port, folder), log("redis"))
        url = f"redis://{edge.address}:{redis_port}/0"
        hosts = {
            name: Host(
                places[name],
                _site(places[name], ports[name]),
                log(name),
                {"HOST_NAME": name, "REDIS_URL": url, "RELEASE": "1"},
                SITE,
            )
            for name in ("one", "two")
        }
        config = folder / "haproxy.cfg"
        port = 80 if is_real else free_port(edge.address)
        config.write_text(_haproxy_config(places, ports, port))
        for each in (redis, *hosts.values()):
            stack.callback(each.kill)
            each.start()
        for name, place in places.items():
            if name in hosts:
                _wait_until_ready(edge, f"http://{place.address}:{ports[name]}/healthz/ready")
        haproxy = Process(
            edge,
            [str(find_program("haproxy", package="haproxy")), "-f", str(config)],
            log("haproxy"),
        )
        stack.callback(haproxy.kill)
        haproxy.start()
        clients = edge.popen(
            [sys.executable, "-m", "tests.hosts.load", f"http://{edge.address}:{port}"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log("clients"),
        )
        stack.callback(_end, clients)
        running = Cluster(hosts, redis, is_real, clients, logs)
        running.spread_sockets()
        yield running


def _wait_until_ready(edge: Place, url: str) -> None:
    probe = edge.popen([sys.executable, "-c", READY, url], cwd=ROOT)
    try:
        assert probe.wait(TIMEOUT_S) == 0
    finally:
        probe.kill()
        probe.wait()


def _end(clients: subprocess.Popen[str]) -> None:
    os.killpg(clients.pid, signal.SIGKILL)
    clients.communicate()


def _redis(edge: Place, port: int, folder: Path) -> list[str]:
    program = str(find_program("redis-server", package="redis-server"))
    options = {
        "bind": edge.address,
        "port": str(port),
        "dir": str(folder),
        "save": "",
        "protected-mode": "no",
    }
    return [program, *(part for name, value in options.items() for part in (f"--{name}", value))]


def _site(place: Place, port: int) -> list[str]:
    command = [sys.executable, "-m", "bridge", "run", "main:app", "--server", "uvicorn"]
    where = ["--host", place.address, "--port", str(port), "--log-level", "warning"]
    return [*command, *where, "--healthz", "/healthz", "--drain-s", DRAIN_S, "--grace-s", GRACE_S]


def _haproxy_config(places: dict[str, Place], ports: dict[str, int], port: int) -> str:
    text = HAPROXY.read_text().replace("bind :80", f"bind {places['edge'].address}:{port}")
    for name, address in (("one", "10.0.0.11:8000"), ("two", "10.0.0.12:8000")):
        assert len(re.findall(re.escape(address), text)) == 2
        text = text.replace(address, f"{places[name].address}:{ports[name]}")
    return text
