"""Django's ORM through Django's helpers and through ours: one connection, one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.conftest import LiveServer, Servers
from tests.harness.ports import HOST
from tests.harness.postgres import USER, PostgresServer, postgres_server

TABLE = "CREATE TABLE notes_note (id bigserial PRIMARY KEY, text varchar(100) NOT NULL)"
DATABASE = "helpers"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with postgres_server(log_dir=tmp_path_factory.mktemp("postgres")) as server:
        server.create_database(DATABASE)
        with psycopg.connect(server.url_of(DATABASE)) as connection:
            connection.execute(TABLE)
        yield server


@pytest.fixture(params=["asgi", "bridged"])
def django(
    request: pytest.FixtureRequest, database: PostgresServer, servers: Servers
) -> Iterator[LiveServer]:
    """On Django's own ASGI handler, and on its WSGI handler behind `to_asgi`."""
    env = {
        "BRIDGE_TEST_DB_HOST": HOST,
        "BRIDGE_TEST_DB_PORT": str(database.port),
        "BRIDGE_TEST_DB_USER": USER,
        "BRIDGE_TEST_DB_NAME": DATABASE,
    }
    server = servers.get("uvicorn-httptools", f"tests.sync.django_app:{request.param}", env=env)
    site = LiveServer.of(server)
    yield site
    site.client.close()


def notes(database: PostgresServer, key: str) -> int:
    with psycopg.connect(database.url_of(DATABASE)) as connection:
        row = connection.execute("SELECT count(*) FROM notes_note WHERE text = %s", (key,))
        [count] = row.fetchone() or (0,)
    return int(count)


@pytest.mark.parametrize("view", ["atomic", "async"])
def test_one_request_uses_one_connection_and_one_transaction(
    django: LiveServer, database: PostgresServer, key: str, view: str
) -> None:
    response = django.client.fetch("GET", f"/{view}/{key}")

    assert response.status == 200, django.log()
    seen = response.json()["seen"]
    assert len({tuple(place) for place in seen}) == 1, seen
    assert notes(database, key) >= len(seen)


@pytest.mark.parametrize("view", ["atomic", "async"])
def test_an_error_rolls_back_the_writes_of_every_helper(
    django: LiveServer, database: PostgresServer, key: str, view: str
) -> None:
    response = django.client.fetch("GET", f"/{view}/{key}?fail")

    assert response.status == 500
    assert notes(database, key) == 0


@pytest.mark.parametrize("view", ["atomic", "async"])
def test_concurrent_requests_have_their_own_transactions(
    django: LiveServer, database: PostgresServer, key: str, view: str
) -> None:
    def request(number: int) -> set[tuple[int, int]]:
        response = django.client.fetch("GET", f"/{view}/{key}-{number}")
        assert response.status == 200, django.log()
        return {tuple(place) for place in response.json()["seen"]}

    with ThreadPoolExecutor(6) as many:
        answers = list(many.map(request, range(12)))

    assert [len(places) for places in answers] == [1] * 12
    transactions = {place[1] for places in answers for place in places}
    assert len(transactions) == 12
