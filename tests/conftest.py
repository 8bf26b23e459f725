"""Fixtures for the whole suite: the control channel and running servers.

A server with its app and options starts once, at its first use, and stops at the end of the
session. When a test fails, pytest shows what its servers logged during the test.
"""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.harness import every_line  # noqa: F401 (imported for its effect, in this process)
from tests.harness.control import VARIABLE, Control
from tests.harness.http import Client, Http1Client
from tests.harness.http2 import Http2Client
from tests.harness.servers import ASGI_SERVERS, SERVERS, Server, serve

settings.register_profile("bridge", deadline=None)  # a slow machine must not fail a test
settings.load_profile("bridge")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts background jobs with SIGINT ignored, and the servers would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def in_full(*names: str) -> list[Any]:
    """Parameters for the runs with everything in them: one Python's."""
    return [pytest.param(name, marks=pytest.mark.full) for name in names]


CONFORMANCE = "tests.apps.wsgi_targets:app"
LOG_TIMEOUT_S = 30.0
THREADS = 4
"""Worker threads of the servers that the tests share."""
BUFFERED = 65536
"""How many bytes of a request body are read before the app runs: ``buffer_request_bytes``."""


@dataclass(frozen=True)
class LiveServer:
    """A running server, a client for its HTTP version, and where its log ended before the test.

    :ivar log_start: the size of the log when the test began, in bytes.
    """

    server: Server
    client: Client
    log_start: int

    @classmethod
    def of(cls, server: Server) -> LiveServer:
        """Opens a client for a server that runs already."""
        http2 = server.spec.http == "2"
        client: Client = Http2Client(server.port) if http2 else Http1Client(server.port)
        return LiveServer(server, client, server.log_size())

    @property
    def name(self) -> str:
        return self.server.spec.name

    @property
    def port(self) -> int:
        return self.server.port

    def log(self, wait_for: str = "", times: int = 1) -> str:
        """What the server has logged since the test began.

        :param wait_for: wait until the log contains this text, at most ``LOG_TIMEOUT_S``: some
            servers send a response before they log it.
        :param times: how many occurrences to wait for.
        """
        deadline = time.monotonic() + LOG_TIMEOUT_S
        while True:
            log = self.server.log(self.log_start)
            if log.count(wait_for) >= times or time.monotonic() > deadline:
                return log
            time.sleep(0.02)  # polling, with a deadline: a file has no event to wait for


def options(**values: object) -> dict[str, str]:
    """Environment variables that pass these options of ``to_asgi`` to the conformance target."""
    return {"BRIDGE_TEST_OPTIONS": json.dumps(values)}


@dataclass
class Servers:
    """Starts each server once and keeps it until the session ends."""

    logs: Path
    _stack: ExitStack = field(default_factory=ExitStack)
    _running: dict[tuple[object, ...], Server] = field(default_factory=dict)

    def get(
        self,
        name: str,
        target: str = CONFORMANCE,
        *,
        env: Mapping[str, str] | None = None,
        args: tuple[str, ...] = (),
    ) -> Server:
        """The running server of this name, target and options."""
        env = options(threads=THREADS) if env is None else env
        key = (name, target, *sorted(env.items()), *args)
        if key not in self._running:
            log_dir = self.logs / f"{len(self._running)}-{name}"
            log_dir.mkdir()
            serving = serve(name, target, env=env, args=args, log_dir=log_dir)
            self._running[key] = self._stack.enter_context(serving)
        return self._running[key]

    def pop_dead(self) -> list[Server]:
        """Remove and return the servers that have exited; the next use starts them again."""
        dead = {k: s for k, s in self._running.items() if s.process.poll() is not None}
        for key in dead:
            del self._running[key]
        return list(dead.values())

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(scope="session")
def control() -> Iterator[Control]:
    """The test's side of the control channel to the apps, in any process."""
    channel = Control()
    os.environ[VARIABLE] = channel.address
    yield channel
    channel.close()
    del os.environ[VARIABLE]


@pytest.fixture
def key(control: Control) -> Iterator[str]:
    """A unique name for the reports, gates and error messages of one test.

    Apps that still wait at a gate after the test, because it failed, get :class:`GateClosed`.
    """
    name = f"key-{uuid.uuid4().hex}"
    yield name
    control.cancel(name)


@pytest.fixture(scope="session")
def servers(control: Control, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Running servers, shared by the session."""
    running = Servers(tmp_path_factory.mktemp("servers"))
    yield running
    running.close()


def shared_server(servers: Servers, name: str) -> Iterator[LiveServer]:
    """Yields a shared server and checks afterwards that it still runs."""
    live_server = LiveServer.of(servers.get(name))
    yield live_server
    live_server.client.close()
    dead = servers.pop_dead()
    assert not dead, f"servers exited during the test: {[server.spec.name for server in dead]}"


@pytest.fixture(params=ASGI_SERVERS)
def live_server(request: pytest.FixtureRequest, servers: Servers) -> Iterator[LiveServer]:
    """The conformance app through ``to_asgi``, on each ASGI server in turn."""
    yield from shared_server(servers, request.param)


@pytest.fixture(params=[name for name in ASGI_SERVERS if SERVERS[name].http == "1.1"])
def http1_server(request: pytest.FixtureRequest, servers: Servers) -> Iterator[LiveServer]:
    """The same on the servers with HTTP/1.1, for features that only HTTP/1.1 has."""
    yield from shared_server(servers, request.param)


def pytest_configure() -> None:
    """Handle SIGTERM, which ``timeout`` sends, as Ctrl-C: the run stops its servers first."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(number: int, frame: object) -> None:
    signal.signal(number, signal.SIG_IGN)  # timeout sends it twice; clean up once
    raise KeyboardInterrupt


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Show what the servers of a failed test logged during the test."""
    report = yield
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, LiveServer):
                report.sections.append((f"log of {value.name}", value.log()[-8000:]))
    return report
