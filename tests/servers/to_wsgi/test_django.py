"""Django's ASGI handler under gunicorn's gthread worker, on PostgreSQL.

Sync views and the ORM run on the server threads. As under Django's WSGI handler, each thread keeps
its database connection (P9).
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.harness.http import Http1Client
from tests.harness.postgres import PostgresServer, postgres_server
from tests.harness.wsgi import Background
from tests.servers.to_wsgi.conftest import GTHREAD_THREADS, LiveWsgiServer, WsgiServers

CLIENTS = 8
REQUESTS = 50
SETTLE_S = 30.0


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server(max_connections=GTHREAD_THREADS + 4) as server:
        yield server


@pytest.fixture(params=["app", "channels()"])
def live_server(
    request: pytest.FixtureRequest, wsgi_servers: WsgiServers, postgres: PostgresServer
) -> LiveWsgiServer:
    address = f"127.0.0.1:{postgres.port}:bridge:postgres"
    return wsgi_servers.get(
        "gunicorn-gthread",
        f"tests.apps.asgi_django:{request.param}",
        env={"BRIDGE_TEST_POSTGRES": address},
    )


def request_often(port: int, path: str) -> set[tuple[int, int]]:
    """Send requests of one client. Returns their connections and threads."""
    client = Http1Client(port)
    responses = [client.fetch("GET", path) for _ in range(REQUESTS)]
    assert {response.status for response in responses} == {200}
    return {(response.json()["backend"], response.json()["thread"]) for response in responses}


@pytest.mark.parametrize("path", ["/sync", "/async"])
def test_each_thread_keeps_one_connection(
    live_server: LiveWsgiServer, postgres: PostgresServer, path: str
) -> None:
    """P9 in the other direction. Native ASGI opens a connection for each request."""
    clients = [Background(request_often, live_server.port, path) for _ in range(CLIENTS)]
    seen = set().union(*(client.result() for client in clients))

    threads = {thread for _, thread in seen}
    assert len(threads) <= GTHREAD_THREADS
    assert len(seen) == len(threads), "each thread must keep its connection"


def test_an_async_view_stays_on_one_thread(live_server: LiveWsgiServer) -> None:
    assert live_server.client.fetch("GET", "/async").json()["same"] is True


def test_request_finished_is_sent_on_the_thread_of_the_request(live_server: LiveWsgiServer) -> None:
    """Django releases the connection in this signal, some time after the response."""
    served = {live_server.client.fetch("GET", "/sync").json()["thread"] for _ in range(8)}

    deadline = time.monotonic() + SETTLE_S
    while not served <= (finished := finished_on(live_server)) and time.monotonic() < deadline:
        time.sleep(0.02)  # poll with a deadline: a finished request sends no event
    assert served <= finished


def finished_on(live_server: LiveWsgiServer) -> set[int]:
    """The threads of ``request_finished`` signals so far."""
    return set(live_server.client.fetch("GET", "/finished").json()["threads"])


def test_a_form_arrives(live_server: LiveWsgiServer) -> None:
    headers = [("content-type", "application/x-www-form-urlencoded")]

    response = live_server.client.fetch(
        "POST", "/echo", headers, b"name=ada&rest=" + b"x" * 200_000
    )

    assert response.json() == {"length": 200_014, "posted": "ada"}


def test_a_streamed_response_arrives(live_server: LiveWsgiServer) -> None:
    assert live_server.client.fetch("GET", "/stream").body == b"0;1;2;"


def test_an_exception_is_a_500_and_logged_only_by_django(
    live_server: LiveWsgiServer, key: str
) -> None:
    assert live_server.client.fetch("GET", f"/breaks?key={key}").status == 500
    lines = live_server.log(wait_for=f"LookupError: {key}").splitlines()
    assert lines.count(f"LookupError: {key}") == 1
