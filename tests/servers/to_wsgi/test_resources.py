"""Pools and clients created at startup serve 200 concurrent requests.

P9 in the other direction: all requests of a process share one event loop, so an async pool created
at startup works for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.apps.asgi_resources import POOL_SIZE
from tests.harness.http import Http1Client
from tests.harness.postgres import PostgresServer, postgres_server
from tests.harness.servers import serve
from tests.harness.wsgi import Background
from tests.harness.wsgi_servers import WSGI

CONCURRENT = 200
EACH = 3


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server(max_connections=2 * POOL_SIZE + 4) as server:
        yield server


@pytest.fixture(scope="module")
def port(postgres: PostgresServer) -> Iterator[int]:
    args = ("--threads", str(CONCURRENT), "--config", "python:bridge.contrib.gunicorn")
    with serve(
        WSGI["gunicorn-gthread"].spec,
        "tests.apps.asgi_resources:app",
        env={"BRIDGE_TEST_POSTGRES": postgres.url},
        args=args,
    ) as server:
        yield server.port
        assert server.terminate().exit_code == 0
        assert "Traceback" not in server.log(), "the pools must be closed on their own loop"


def request(port: int, path: str) -> list[Any]:
    client = Http1Client(port, timeout_s=60)
    return [client.fetch("GET", path).json() for _ in range(EACH)]


def request_all(port: int, path: str) -> list[Any]:
    clients = [Background(request, port, path) for _ in range(CONCURRENT)]
    return [body for client in clients for body in client.result()]


@pytest.mark.parametrize("path", ["/asyncpg", "/psycopg"])
def test_a_pool_serves_two_hundred_requests_with_four_connections(port: int, path: str) -> None:
    backends = request_all(port, path)

    assert len(backends) == CONCURRENT * EACH
    assert len(set(backends)) <= POOL_SIZE


def test_a_client_is_shared_by_two_hundred_requests(port: int) -> None:
    assert request_all(port, "/httpx") == ["fine"] * CONCURRENT * EACH
