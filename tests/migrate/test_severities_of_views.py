"""The severities of the rules for views and databases, proven on gunicorn, on Django's own ASGI
handler, and on bridge.

One project, ``tests/migrate/apps/views.py``, on one PostgreSQL and three servers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import psycopg
import pytest

from bridge.migrate.rule import select_rules
from tests.conftest import Servers
from tests.harness.control import Control
from tests.harness.http import Aborted, Exchange, Http1Client
from tests.harness.ports import HOST
from tests.harness.postgres import USER, PostgresServer, postgres_server
from tests.harness.servers import ROOT, Server
from tests.harness.wsgi import Background

PROJECT = "tests.migrate.apps.views"
REQUESTS = 20
THREADS = 4  # of gunicorn, in the harness; bridge has two here
MAX_CONNECTIONS = 80


DECIDED = {
    "D301": "E/I unsafe",
    "D302": "W/I",
    "D303": "E/E unsafe",
    "V401": "W/I",
    "V402": "W/-",
    "V403": "E/- safe",
    "V404": "E/W",
    "V405": "W/- safe",
    "V406": "W/W unsafe",
    "V407": "E/E unsafe",
    "V408": "E/E safe",
    "V409": "W/W",
    "V410": "-/E",
    "V411": "W/I",
    "A801": "W/W safe",
    "A802": "W/W safe",
    "A803": "W/W safe",
}


@pytest.mark.parametrize("code", DECIDED)
def test_severities_and_fixes_are_as_decided(code: str) -> None:
    (rule,) = select_rules([code])
    both = [each.letter if each else "-" for each in (rule.native, rule.bridge)]

    assert f"{'/'.join(both)} {rule.fix}".strip() == DECIDED[code]


class Sites(NamedTuple):
    gunicorn: Server
    native: Server
    bridge: Server


class Database(NamedTuple):
    server: PostgresServer
    settings: str
    session: str

    def connections(self, name: str) -> int:
        """The number of open connections of a server."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
        with psycopg.connect(self.server.url) as connection:
            row = connection.execute(query, (name,)).fetchone()
        return int(row[0]) if row else 0


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    logs = tmp_path_factory.mktemp("postgres")
    with postgres_server(max_connections=MAX_CONNECTIONS, log_dir=logs) as server:
        address = {"HOST": HOST, "PORT": str(server.port), "USER": USER, "NAME": "postgres"}
        settings = json.dumps(address)
        done = subprocess.run(
            [sys.executable, "-m", PROJECT],
            env={**os.environ, "BRIDGE_TEST_POSTGRES": settings},
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            timeout=120,
            check=True,
        )
        yield Database(server, settings, done.stdout.strip())


@pytest.fixture(scope="module")
def sites(servers: Servers, database: Database) -> Sites:
    """The project, on each of them."""

    def site(name: str, server: str, target: str) -> Server:
        env = {"BRIDGE_TEST_POSTGRES": database.settings, "BRIDGE_TEST_NAME": name}
        return servers.get(server, f"{PROJECT}:{target}", env=env)

    return Sites(
        site("gunicorn", "gunicorn-gthread", "wsgi"),
        site("native", "uvicorn-h11", "native"),
        site("bridge", "uvicorn-h11", "through_bridge"),
    )


def statuses(sites: Sites, path: str, session: str = "") -> tuple[int, ...]:
    """The statuses from gunicorn, Django's own ASGI handler and bridge."""
    headers = [("Cookie", f"sessionid={session}")] if session else []
    clients = [Http1Client(site.port) for site in sites]
    return tuple(client.fetch("GET", path, headers=headers).status for client in clients)


def test_d301_connections_pile_up_under_native_asgi(sites: Sites, database: Database) -> None:
    """Garbage collection, which would close some of them, is off in the project."""
    used: dict[str, set[bytes]] = {}
    peak: dict[str, int] = {}
    for name, site in sites._asdict().items():
        client = Http1Client(site.port)
        answers = [_connection(client, database, name) for _ in range(REQUESTS)]
        used[name] = {pid for pid, _ in answers}
        peak[name] = max(count for _, count in answers)

    assert len(used["gunicorn"]) <= peak["gunicorn"] <= THREADS
    assert len(used["bridge"]) <= peak["bridge"] <= 2
    assert len(used["native"]) == REQUESTS  # none was reused
    assert peak["native"] > THREADS


def _connection(client: Http1Client, database: Database, name: str) -> tuple[bytes, int]:
    """The connection of one request, and the number of open connections of its server."""
    answer = client.fetch("GET", "/d301")
    assert answer.status == 200
    return answer.body, database.connections(name)


def test_d303_atomic_requests_fail_async_views_everywhere(sites: Sites) -> None:
    assert statuses(sites, "/d303") == (500, 500, 500)
    assert statuses(sites, "/fixed/d303") == (200, 200, 200)
    assert statuses(sites, "/fixed/d303/class") == (200, 200, 200)


@contextmanager
def opened(site: Server, path: str) -> Iterator[Exchange]:
    """A request that has been sent; its response is not read."""
    client = Http1Client(site.port, timeout_s=60)
    try:
        yield client.open("GET", path)
    finally:
        client.close()


@pytest.mark.parametrize("name", ["gunicorn", "bridge"])
def test_v401_a_sync_stream_is_sent_part_by_part(
    sites: Sites, control: Control, key: str, name: str
) -> None:
    with opened(getattr(sites, name), f"/v401/{key}") as exchange:
        assert exchange.chunk() == b"data: one\n\n"  # the second chunk waits at its gate
        control.expect_waiting(key, "next")
    control.cancel(key)


def test_v401_native_asgi_never_answers_an_endless_stream(
    sites: Sites, control: Control, key: str
) -> None:
    with opened(sites.native, f"/v401/{key}") as exchange:
        answer = Background(exchange.chunk)
        control.release(key, "next", 100)
        control.expect(key, "asked for the next", 101)

        assert answer.thread.is_alive()  # 101 events were produced, and none was sent
        control.cancel(key)
        with pytest.raises(Aborted):
            answer.result()


def test_v410_each_endless_stream_holds_a_worker_thread_of_bridge(
    sites: Sites, control: Control, key: str
) -> None:
    path = f"/v401/{key}"
    with opened(sites.bridge, path) as first, opened(sites.bridge, path) as second:
        assert first.chunk() == second.chunk() == b"data: one\n\n"
        control.expect_waiting(key, "next", 2)

        third = Background(Http1Client(sites.bridge.port, timeout_s=60).fetch, "GET", "/")
        on_the_loop = Http1Client(sites.bridge.port).fetch("GET", "/fixed/v407")
        assert on_the_loop.status == 200
        assert third.thread.is_alive()
        control.cancel(key)

    assert third.result().status == 200


def test_v403_requests_under_asgi_have_no_environ(sites: Sites) -> None:
    assert statuses(sites, "/v403") == (200, 500, 200)
    assert statuses(sites, "/v403/async") == (200, 500, 500)
    assert statuses(sites, "/fixed/v403") == (200, 200, 200)


def test_v404_meta_has_no_protocol_under_asgi(sites: Sites) -> None:
    assert statuses(sites, "/v404") == (200, 500, 200)
    assert statuses(sites, "/v404/async") == (200, 500, 500)


def test_v407_the_orm_fails_on_the_loop_everywhere(sites: Sites) -> None:
    assert statuses(sites, "/v407") == (500, 500, 500)
    assert statuses(sites, "/fixed/v407") == (200, 200, 200)


def test_v408_loading_the_user_fails_on_the_loop_everywhere(
    sites: Sites, database: Database
) -> None:
    assert statuses(sites, "/v408", database.session) == (500, 500, 500)
    assert statuses(sites, "/v408") == (200, 200, 200)  # without a session there is nothing to load
    assert statuses(sites, "/fixed/v408", database.session) == (200, 200, 200)
