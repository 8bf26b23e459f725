"""Fixtures that every part of the suite may use: the control line, and running servers.

A server with its app and options is started once, at its first use, and ends with the session; what
it logged during a test is shown when that test fails.
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

from tests.harness.control import VARIABLE, Control
from tests.harness.http import Client, Http1Client
from tests.harness.http2 import Http2Client
from tests.harness.servers import ASGI_SERVERS, SERVERS, Server, serve

settings.register_profile("bridge", deadline=None)  # a slow machine is no failure
settings.load_profile("bridge")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts background jobs so, and the servers under test would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

CONFORMANCE = "tests.apps.wsgi_targets:app"
LOG_TIMEOUT_S = 30.0
THREADS = 4
"""How many worker threads the servers that the tests share have."""


@dataclass(frozen=True)
class Site:
    """A running server, the client that speaks its protocol, and where its log stood."""

    server: Server
    client: Client
    mark: int

    @property
    def name(self) -> str:
        return self.server.spec.name

    @property
    def port(self) -> int:
        return self.server.port

    def log(self, having: str = "", times: int = 1) -> str:
        """What the server has logged since the test began.

        :param having: wait for this to appear first, if it does: some servers answer
            before they log.
        :param times: how often it is to appear.
        """
        deadline = time.monotonic() + LOG_TIMEOUT_S
        while True:
            log = self.server.log(self.mark)
            if log.count(having) >= times or time.monotonic() > deadline:
                return log
            time.sleep(0.02)  # polling, with a deadline: a file has no event to wait for


def site_of(server: Server) -> Site:
    """A site on a running server, its log marked here."""
    client: Client = (
        Http2Client(server.port) if server.spec.http == "2" else Http1Client(server.port)
    )
    return Site(server, client, server.log_size())


def options(**values: object) -> dict[str, str]:
    """The environment that gives the conformance target these options of ``to_asgi``."""
    return {"BRIDGE_TEST_OPTIONS": json.dumps(values)}


@dataclass
class Servers:
    """Starts each server once, and keeps it until the session ends."""

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

    def died(self) -> list[Server]:
        """The servers that have ended though nobody asked them to; they are started anew."""
        dead = {k: s for k, s in self._running.items() if s.process.poll() is not None}
        for key in dead:
            del self._running[key]
        return list(dead.values())

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(scope="session")
def control() -> Iterator[Control]:
    """The test's end of the line to the apps, in whatever process they run."""
    line = Control()
    os.environ[VARIABLE] = line.address
    yield line
    line.close()
    del os.environ[VARIABLE]


@pytest.fixture
def key(control: Control) -> Iterator[str]:
    """A name that no other test uses, for reports, gates and error messages.

    Apps that still wait at a gate when the test is over, because it failed, are turned away.
    """
    name = f"key-{uuid.uuid4().hex}"
    yield name
    control.turn_away(name)


@pytest.fixture(scope="session")
def servers(control: Control, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Running servers, shared by the session."""
    running = Servers(tmp_path_factory.mktemp("servers"))
    yield running
    running.close()


def shared_site(servers: Servers, name: str) -> Iterator[Site]:
    """What a fixture yields for one server: its site, and afterwards proof that it still runs."""
    site = site_of(servers.get(name))
    yield site
    site.client.close()
    died = servers.died()
    assert not died, f"the test ended these servers: {[server.spec.name for server in died]}"


@pytest.fixture(params=ASGI_SERVERS)
def site(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Site]:
    """The conformance app through ``to_asgi``, on each ASGI server in turn."""
    yield from shared_site(servers, request.param)


@pytest.fixture(params=[name for name in ASGI_SERVERS if SERVERS[name].http == "1.1"])
def http1_site(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Site]:
    """The same on the servers with HTTP/1.1, for tests of what only HTTP/1.1 has."""
    yield from shared_site(servers, request.param)


def pytest_configure() -> None:
    """SIGTERM, as ``timeout`` sends it, ends a run as Ctrl-C does: the servers end with it."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(number: int, frame: object) -> None:
    signal.signal(number, signal.SIG_IGN)  # timeout sends it twice; once is enough to clean up
    raise KeyboardInterrupt


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Show what the servers of a failed test logged while it ran."""
    report = yield
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Site):
                report.sections.append((f"log of {value.name}", value.log()[-8000:]))
    return report
