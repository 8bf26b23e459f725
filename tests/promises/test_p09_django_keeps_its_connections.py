"""P9: Django uses no more database connections than it has threads, and closes what it opened.

Seen at gyrinx #2083, django #19266, penn-clubs #879: under Django's own ASGI handler each request
opens a connection, which ``CONN_MAX_AGE`` then keeps for nobody.
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
    """The Django project on a database of its own."""
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


def ask(port: int, path: str, times: int) -> list[Any]:
    client = Http1Client(port, timeout_s=60)
    return [client.fetch("GET", path).json() for _ in range(times)]


def ask_all(port: int, path: str, times: int = EACH) -> list[Any]:
    clients = [Background(ask, port, path, times) for _ in range(CLIENTS)]
    return [answer for client in clients for answer in client.result()]


def ask_in_rounds(
    server: Server, path: str, postgres: PostgresServer, database: str, kept: int
) -> list[Any]:
    """Ask five times as all clients; after each time, only ``kept`` connections must be left.

    A connection is closed after its response has left, and PostgreSQL ends its process some time
    after that. Without the rounds these could fill it, however well they are all closed.
    """
    answers: list[Any] = []
    for _ in range(ROUNDS):
        answers += ask_all(server.port, path, 1)
        wait_until_closed(postgres, database, kept)
    return answers


def wait_until_closed(postgres: PostgresServer, database: str, kept: int) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while (left := postgres.connections(database)) > kept and time.monotonic() < deadline:
        time.sleep(0.02)  # polling, with a deadline: the database tells nobody
    assert left == kept


@pytest.fixture(params=["uvicorn-uvloop"])
def kept(request: pytest.FixtureRequest, servers: Servers, postgres: PostgresServer) -> Server:
    return project(servers, request.param, postgres, CONN_MAX_AGE=60, CONN_HEALTH_CHECKS=True)


def test_a_thousand_requests_use_as_many_connections_as_threads(
    kept: Server, postgres: PostgresServer
) -> None:
    answers = ask_all(kept.port, "/query/sync/")

    assert len(answers) == CLIENTS * EACH
    pairs = {(answer["pid"], answer["thread"]) for answer in answers}
    assert len(pairs) == len({pid for pid, _ in pairs}) <= THREADS  # each on its own thread
    assert postgres.connections("kept_2_60") <= THREADS


def test_a_connection_that_the_database_has_closed_is_replaced(
    kept: Server, postgres: PostgresServer
) -> None:
    before = {answer["pid"] for answer in ask_all(kept.port, "/query/sync/", 3)}
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        for pid in before:
            connection.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))

    after = {answer["pid"] for answer in ask_all(kept.port, "/query/sync/", 3)}

    assert not before & after


def test_async_views_leave_no_connection_behind(kept: Server, postgres: PostgresServer) -> None:
    """More requests than the database has room for; each opens one, on a thread that then ends."""
    name = "kept_2_60"
    with psycopg.connect(postgres.url) as connection:
        query = "SELECT pid FROM pg_stat_activity WHERE datname = %s"
        of_workers = {pid for (pid,) in connection.execute(query, (name,))}

    answers = ask_in_rounds(kept, "/query/async/", postgres, name, len(of_workers))

    assert {answer["request"] for answer in answers} == {"ASGIRequest"}
    assert {answer["same"] for answer in answers} == {True}
    assert len(answers) > MAX_CONNECTIONS


@pytest.mark.parametrize("server", ["uvicorn-uvloop"])
def test_without_an_age_each_request_closes_its_own(
    servers: Servers, postgres: PostgresServer, server: str
) -> None:
    """Django refuses to close a connection on any thread but the one that has opened it."""
    running = project(servers, server, postgres, CONN_MAX_AGE=0)

    ask_in_rounds(running, "/query/sync/", postgres, "kept_1_0", 0)

    assert "Traceback" not in running.log()
