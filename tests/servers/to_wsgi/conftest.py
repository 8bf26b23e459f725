"""Running WSGI servers, each started once and kept for the session."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import LiveServer
from tests.harness.control import Control
from tests.harness.http import Client
from tests.harness.servers import Server, serve
from tests.harness.wsgi_servers import WSGI, WsgiServer

collect_ignore = []
if not (find_spec("litestar") and find_spec("strawberry")):
    collect_ignore.append("test_websocket_frameworks.py")  # for nox -s websocket_frameworks


TARGET = "tests.apps.asgi_targets:app"
GTHREAD_THREADS = 4
BODY_WINDOW = 65536


def options(**values: object) -> dict[str, str]:
    """Environment variables that pass these options of ``to_wsgi`` to the target."""
    return {"BRIDGE_TEST_OPTIONS": json.dumps(values)}


@dataclass(frozen=True)
class LiveWsgiServer(LiveServer):
    """A running WSGI server and its capabilities."""

    can: WsgiServer


@dataclass
class WsgiServers:
    """Starts each server once and keeps it until the session ends."""

    logs: Path
    _stack: ExitStack = field(default_factory=ExitStack)
    _running: dict[tuple[object, ...], Server] = field(default_factory=dict)
    _clients: list[Client] = field(default_factory=list)

    def get(
        self,
        name: str,
        target: str = TARGET,
        *,
        env: Mapping[str, str] | None = None,
        args: tuple[str, ...] = (),
    ) -> LiveWsgiServer:
        """The running server of this name, target and options."""
        key = (name, target, *sorted((env or {}).items()), *args)
        running = self._running.get(key)
        if running is None or running.process.poll() is not None:
            log_dir = self.logs / f"{len(self._running)}-{name}"
            log_dir.mkdir()
            serving = serve(WSGI[name].spec, target, env=env, args=args, log_dir=log_dir)
            running = self._running[key] = self._stack.enter_context(serving)
        live_server = LiveServer.of(running)
        self._clients.append(live_server.client)
        return LiveWsgiServer(
            live_server.server, live_server.client, live_server.log_start, WSGI[name]
        )

    def close_clients(self) -> None:
        """Close the connections that the finished test opened."""
        while self._clients:
            self._clients.pop().close()

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(scope="session")
def all_wsgi_servers(
    control: Control, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WsgiServers]:
    running = WsgiServers(tmp_path_factory.mktemp("wsgi-servers"))
    yield running
    running.close()


@pytest.fixture
def wsgi_servers(all_wsgi_servers: WsgiServers) -> Iterator[WsgiServers]:
    """Running WSGI servers, shared by the session. The test's connections close after it."""
    yield all_wsgi_servers
    all_wsgi_servers.close_clients()


def _shared(wsgi_servers: WsgiServers, name: str) -> Iterator[LiveWsgiServer]:
    live_server = wsgi_servers.get(name)
    yield live_server
    assert live_server.server.process.poll() is None, f"{name} exited during the test"


@pytest.fixture(params=list(WSGI))
def wsgi_server(
    request: pytest.FixtureRequest, wsgi_servers: WsgiServers
) -> Iterator[LiveWsgiServer]:
    """The conformance app through ``to_wsgi``, on each WSGI server in turn."""
    yield from _shared(wsgi_servers, request.param)


@pytest.fixture(params=[name for name, server in WSGI.items() if server.concurrent])
def threaded_server(
    request: pytest.FixtureRequest, wsgi_servers: WsgiServers
) -> Iterator[LiveWsgiServer]:
    """The same on the servers that serve requests concurrently."""
    yield from _shared(wsgi_servers, request.param)


@pytest.fixture(params=[name for name, server in WSGI.items() if server.dechunks])
def dechunking_server(
    request: pytest.FixtureRequest, wsgi_servers: WsgiServers
) -> Iterator[LiveWsgiServer]:
    """The same on the servers that decode chunked request bodies."""
    yield from _shared(wsgi_servers, request.param)


@pytest.fixture
def gthread_server(wsgi_servers: WsgiServers) -> Iterator[LiveWsgiServer]:
    """The conformance app under gunicorn's gthread worker."""
    yield from _shared(wsgi_servers, "gunicorn-gthread")
