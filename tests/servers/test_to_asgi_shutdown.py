"""SIGTERM during streaming responses: each server exits, and iterators are closed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.conftest import CONFORMANCE, LiveServer, options
from tests.harness.control import Control
from tests.harness.servers import ASGI_SERVERS, SERVERS, serve

GRACE_S = 2
LIMIT_S = 15.0
NOT_NOTIFYING = ("hypercorn", "hypercorn-h2", "granian", "gunicorn-asgi")
"""Servers that do not notify the app of their shutdown; they have separate tests."""


@contextmanager
def streaming(name: str, control: Control, key: str) -> Iterator[LiveServer]:
    """Start a server and two endless responses."""
    env = options(threads=4, shutdown_timeout_s=5)
    with serve(name, CONFORMANCE, env=env, args=SERVERS[name].grace(GRACE_S)) as server:
        live_server = LiveServer.of(server)
        for _ in range(2):
            assert live_server.client.open("GET", f"/endless?key={key}").chunk()
        yield live_server
        live_server.client.close()


@pytest.mark.parametrize("name", [name for name in ASGI_SERVERS if name not in NOT_NOTIFYING])
def test_sigterm_closes_open_streams_in_time(name: str, control: Control, key: str) -> None:
    with streaming(name, control, key) as live_server:
        live_server.server.terminate(LIMIT_S)

        control.expect(key, "closed", count=2)
        assert len({closed["thread"] for closed in control.reports(key, "closed")}) == 2


@pytest.mark.parametrize("name", ["granian", "gunicorn-asgi"])
def test_sigterm_ends_servers_that_kill_their_worker_in_time(
    name: str, control: Control, key: str
) -> None:
    """They do not notify the app. granian 2.8 waits for the response, then SIGKILLs the worker
    ("Killing worker-1 after it refused to gracefully stop"). gunicorn 27's arbiter SIGKILLs it
    after ``graceful_timeout``. ``ASGIWorker._shutdown`` waits as long before it cancels anything,
    so it does so, and logs it, only if the arbiter is late. ``close()`` cannot run in a killed
    worker; a native ASGI app ends the same way.
    """
    with streaming(name, control, key) as live_server:
        live_server.server.terminate(LIMIT_S)

        cancelled = "Forcing close of 2 connections" in live_server.server.log()
        assert cancelled or not control.reports(key, "closed")


@pytest.mark.parametrize("name", ["hypercorn", "hypercorn-h2"])
def test_sigterm_ends_hypercorn_when_its_clients_disconnect(
    name: str, control: Control, key: str
) -> None:
    """hypercorn 0.18 on Python 3.12 and later waits in ``server.wait_closed()`` for all connections
    before its ``graceful_timeout`` starts, and does not notify the app; native ASGI apps hang, too.
    After the clients have disconnected, the server must exit.
    """
    with streaming(name, control, key) as live_server:
        live_server.server.signal(signal.SIGTERM)
        live_server.client.close()

        control.expect(key, "closed", count=2)
        live_server.server.terminate(LIMIT_S)


@pytest.mark.parametrize("name", ASGI_SERVERS)
def test_sigterm_ends_an_idle_server_and_all_its_processes(name: str) -> None:
    with serve(name, CONFORMANCE, env=options(threads=4)) as server:
        assert LiveServer.of(server).client.fetch("GET", "/").status == 200
        pids = server.serving_pids()

        result = server.terminate(LIMIT_S)

        assert result.exit_code in (0, -15)  # uvicorn raises the signal again after its shutdown
        assert not server.serving_pids() or pids == [server.pid]
        assert "Traceback" not in server.log()
