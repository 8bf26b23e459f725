"""WebSockets without TLS on each kind of gunicorn's workers; ``test_websocket_tls.py`` has TLS."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed

from tests.harness.http import Http1Client
from tests.harness.servers import Server, serve
from tests.servers.to_wsgi.test_websocket_endings import TARGET, TIMEOUT_S, WORKERS, websocket


@pytest.fixture(scope="module", params=WORKERS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(WORKERS[request.param], TARGET) as running:
        yield running
        running.terminate()
        assert "Traceback" not in running.log()


def test_messages_come_back(server: Server) -> None:
    with websocket(server, "/echo") as client:
        for message in ("", "caf\xe9", b"", bytes(range(256)) * 2000):
            client.send(message)
            assert client.recv(TIMEOUT_S) == message
        client.send(["fr", "ag", "ments"])
        assert client.recv(TIMEOUT_S) == "fragments"
        assert client.ping().wait(TIMEOUT_S)


def test_many_messages_keep_their_order(server: Server) -> None:
    with websocket(server, "/echo") as client:
        for number in range(500):
            client.send(str(number))
        assert [client.recv(TIMEOUT_S) for _ in range(500)] == [str(n) for n in range(500)]


def test_the_app_closes_with_its_code(server: Server) -> None:
    with websocket(server, "/close?code=4002&reason=so") as client:
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(TIMEOUT_S)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4002, "so")


def test_requests_are_served_beside_open_websockets(server: Server) -> None:
    with websocket(server, "/echo") as first, websocket(server, "/echo") as second:
        for client in (first, second, first):
            assert Http1Client(server.port).fetch("GET", "/").status == 200
            client.send("a")
            assert client.recv(TIMEOUT_S) == "a"
