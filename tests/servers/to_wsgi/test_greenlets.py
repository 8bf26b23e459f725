"""Where gevent or eventlet has patched ``threading``: apps that start threads are served."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator

import pytest

from tests.harness.http import Http1Client
from tests.harness.servers import SERVERS, Address, Server, ServerSpec, serve
from tests.harness.wsgi import Background

TARGET = "tests.apps.asgi_threads:wsgi_app"
CONCURRENT = 20
PATHS = {
    "/": '"worked"',
    "/def": '"worked"',
    "/file": "An ASGI app that starts threads",
    "/static/asgi_threads.py": "An ASGI app that starts threads",
    "/executor": '"worked"',
    "/own-executor": '"worked"',
    "/to-thread": '"worked"',
    "/thread": '"worked"',
    "/sync-helpers": '"worked"',
    "/child": "from a child",
    "/child-in-a-thread": "from a child",
    "/resolve": '"worked"',
}


def _gunicorn(*hooks: str) -> ServerSpec:
    def command(at: Address, target: str) -> list[str]:
        plain = SERVERS["gunicorn-sync"].command(at, target)
        return [*plain, "-k", "gevent", "--graceful-timeout", "10", *hooks]

    return ServerSpec("gunicorn-gevent", "wsgi", command, inherits_socket=True)


def _server_of(package: str) -> ServerSpec:
    def command(at: Address, target: str) -> list[str]:
        return ["tests.harness.green_servers", package, target, str(at.fd)]

    return ServerSpec(f"{package}-wsgi", "wsgi", command, inherits_socket=True)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("gevent", _gunicorn()), id="gunicorn-gevent"),
        pytest.param(
            ("gevent", _gunicorn("--config", "python:bridge.contrib.gunicorn")),
            id="gunicorn-gevent-hooks",
        ),
        pytest.param(("gevent", _server_of("gevent")), id="gevent-pywsgi"),
        pytest.param(("eventlet", _server_of("eventlet")), id="eventlet-wsgi"),
    ],
)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    package, spec = request.param
    if importlib.util.find_spec(package) is None:  # not imported: it would warn at every fork
        pytest.skip(f"{package} is not installed")
    # eventlet imports anyio for its own DNS client, before anyio can be patched.
    with serve(spec, TARGET, env={"EVENTLET_NO_GREENDNS": "yes"}) as running:
        yield running
        assert running.terminate().exit_code == 0
        log = running.log()
        assert log.count("shut down") == 1, log
        assert "Traceback" not in log, log


def fetch(port: int, path: str) -> tuple[int, str]:
    response = Http1Client(port, timeout_s=60).fetch("GET", path)
    return response.status, response.body.decode()


@pytest.mark.parametrize("path", list(PATHS))
def test_an_app_that_starts_threads_is_served(server: Server, path: str) -> None:
    if path == "/child" and sys.version_info >= (3, 12) and "gevent" in server.spec.name:
        pytest.skip("gevent reaps the child before asyncio, with or without bridge")
    clients = [Background(fetch, server.port, path) for _ in range(CONCURRENT)]
    responses = [client.result() for client in clients]

    assert [status for status, _ in responses] == [200] * CONCURRENT
    assert all(PATHS[path] in text for _, text in responses)
