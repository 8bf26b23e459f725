"""P9: Django uses at most as many database connections as threads, and closes those it opens.

Seen at gyrinx #2083, django #19266, penn-clubs #879: under Django's ASGI handler each request opens
a connection, which ``CONN_MAX_AGE`` keeps open unused.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.conftest import Servers
from tests.harness.http import Http1Client
from tests.harness.ports import HOST
from tests.harness.postgres import USER, PostgresServer, postgres_server
from tests.harness.servers import Server
from tests.harness.wsgi import Background

TARGET = "tests.django.project:app"
THREADS = 4
CLIENTS = 20
EACH = 50
ROUNDS = 5
MAX_CONNECTIONS = 80
TIMEOUT_S = 30.0


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    logs = tmp_path_factory.mktemp("postgres")
    with postgres_server(max_connections=MAX_CONNECTIONS, log_dir=logs) as server:
        yield server


def project(servers: Servers, name: str, postgres: PostgresServer, **database: Any) -> Server:
    """The Django project with its own database."""
    url = f"kept_{len(database)}_{database['CONN_MAX_AGE']}"
    if url not in databases(postgres):
        postgres.create_database(url)
    address = {"HOST": HOST, "PORT": str(postgres.port), "USER": USER, "NAME": url}
    engine = {"ENGINE": "django.db.backends.postgresql", **address, **database}
    env = {
        "BRIDGE_TEST_DJANGO": json.dumps({"DATABASES": {"default": engine}}),
        "BRIDGE_TEST_DJANGO_OPTIONS": json.dumps({"threads": THREADS}),
        "BRIDGE_TEST_OF": url,
    }
    return servers.get(name, TARGET, env=env)


def databases(postgres: PostgresServer) -> set[str]:
    with psycopg.connect(postgres.url) as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}


def request(port: int, path: str, times: int) -> list[Any]:
    client = Http1Client(port, timeout_s=60)
    return [client.fetch("GET", path).json() for _ in range(times)]


def request_all(port: int, path: str, times: int = EACH) -> list[Any]:
    clients = [Background(request, port, path, times) for _ in range(CLIENTS)]
    return [response for client in clients for response in client.result()]


def request_in_rounds(
    server: Server, path: str, postgres: PostgresServer, database: str, kept: int
) -> list[Any]:
    """Send requests of all clients in five rounds, each until ``kept`` connections remain.

    A connection is closed after its response has been sent, and PostgreSQL ends its process later.
    Without rounds, closed connections could reach the limit.
    """
    responses: list[Any] = []
    for _ in range(ROUNDS):
        responses += request_all(server.port, path, 1)
        wait_until_closed(postgres, database, kept)
    return responses


def wait_until_closed(postgres: PostgresServer, database: str, kept: int) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while (count := postgres.connections(database)) > kept and time.monotonic() < deadline:
        time.sleep(0.02)  # poll with a deadline: the database sends no event
    assert count == kept


@pytest.fixture(params=["uvicorn-uvloop"])
def kept(request: pytest.FixtureRequest, servers: Servers, postgres: PostgresServer) -> Server:
    return project(servers, request.param, postgres, CONN_MAX_AGE=60, CONN_HEALTH_CHECKS=True)


def test_a_thousand_requests_use_as_many_connections_as_threads(
    kept: Server, postgres: PostgresServer
) -> None:
    responses = request_all(kept.port, "/query/sync/")

    assert len(responses) == CLIENTS * EACH
    pairs = {(response["pid"], response["thread"]) for response in responses}
    assert len(pairs) == len({pid for pid, _ in pairs}) <= THREADS  # one thread for each connection
    assert postgres.connections("kept_2_60") <= THREADS


def test_a_connection_closed_by_the_database_is_replaced(
    kept: Server, postgres: PostgresServer
) -> None:
    before = {response["pid"] for response in request_all(kept.port, "/query/sync/", 3)}
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        for pid in before:
            connection.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))

    after = {response["pid"] for response in request_all(kept.port, "/query/sync/", 3)}

    assert not before & after


def test_async_views_leave_no_connection_open(kept: Server, postgres: PostgresServer) -> None:
    """More requests than connections. Each request opens one on a thread that ends."""
    name = "kept_2_60"
    with psycopg.connect(postgres.url) as connection:
        query = "SELECT pid FROM pg_stat_activity WHERE datname = %s"
        worker_pids = {pid for (pid,) in connection.execute(query, (name,))}

    responses = request_in_rounds(kept, "/query/async/", postgres, name, len(worker_pids))

    assert {response["request"] for response in responses} == {"ASGIRequest"}
    assert {response["same"] for response in responses} == {True}
    assert len(responses) > MAX_CONNECTIONS


@pytest.mark.parametrize("server", ["uvicorn-uvloop"])
def test_without_conn_max_age_each_request_closes_its_connection(
    servers: Servers, postgres: PostgresServer, server: str
) -> None:
    """Django closes a connection only on the thread that opened it."""
    running = project(servers, server, postgres, CONN_MAX_AGE=0)

    request_in_rounds(running, "/query/sync/", postgres, "kept_1_0", 0)

    assert "Traceback" not in running.log()
