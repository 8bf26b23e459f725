"""SIGTERM while responses are streaming: each server ends, and iterators are closed where told."""

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
UNASKED = ("hypercorn", "hypercorn-h2", "granian", "gunicorn-asgi")
"""Servers that do not tell an app that they end: a test of their own says what they do instead."""


@contextmanager
def streaming(name: str, control: Control, key: str) -> Iterator[LiveServer]:
    """A server of its own with two endless responses on their way."""
    env = options(threads=4, shutdown_timeout_s=5)
    with serve(name, CONFORMANCE, env=env, args=SERVERS[name].grace(GRACE_S)) as server:
        live_server = LiveServer.of(server)
        for _ in range(2):
            assert live_server.client.open("GET", f"/endless?key={key}").chunk()
        yield live_server
        live_server.client.close()


@pytest.mark.parametrize("name", [name for name in ASGI_SERVERS if name not in UNASKED])
def test_sigterm_with_endless_streams_open_closes_them_in_time(
    name: str, control: Control, key: str
) -> None:
    with streaming(name, control, key) as live_server:
        live_server.server.terminate(LIMIT_S)

        control.expect(key, "closed", count=2)
        assert len({closed["thread"] for closed in control.reports(key, "closed")}) == 2


@pytest.mark.parametrize("name", ["granian", "gunicorn-asgi"])
def test_sigterm_where_the_server_kills_its_worker_ends_in_time(
    name: str, control: Control, key: str
) -> None:
    """These two tell the app nothing. granian 2.8 waits for the response, then SIGKILLs the worker
    ("Killing worker-1 after it refused to gracefully stop"). gunicorn 27's arbiter SIGKILLs it
    after the same ``graceful_timeout`` that ``ASGIWorker._shutdown`` waits before it cancels
    anything: only where the arbiter is late does the worker come to that, and logs it first.
    No ``close()`` can run in a worker that is killed; a native ASGI app ends the same way.
    """
    with streaming(name, control, key) as live_server:
        live_server.server.terminate(LIMIT_S)

        cancelled = "Forcing close of 2 connections" in live_server.server.log()
        assert cancelled or not control.reports(key, "closed")


@pytest.mark.parametrize("name", ["hypercorn", "hypercorn-h2"])
def test_sigterm_on_hypercorn_ends_when_its_clients_have_left(
    name: str, control: Control, key: str
) -> None:
    """hypercorn 0.18 on Python 3.12 and later waits in ``server.wait_closed()`` for the connections
    to end, before its ``graceful_timeout`` begins to count, and tells the app nothing; native ASGI
    apps hang there, too. What the bridge can promise: once the clients leave, nothing is left.
    """
    with streaming(name, control, key) as live_server:
        live_server.server.signal(signal.SIGTERM)
        live_server.client.close()

        control.expect(key, "closed", count=2)
        live_server.server.terminate(LIMIT_S)


@pytest.mark.parametrize("name", ASGI_SERVERS)
def test_sigterm_while_idle_ends_and_leaves_no_process(name: str) -> None:
    with serve(name, CONFORMANCE, env=options(threads=4)) as server:
        assert LiveServer.of(server).client.fetch("GET", "/").status == 200
        serving = server.serving_pids()

        ended = server.terminate(LIMIT_S)

        assert ended.exit_code in (0, -15)  # uvicorn raises the signal again after its shutdown
        assert not server.serving_pids() or serving == [server.pid]
        assert "Traceback" not in server.log()
