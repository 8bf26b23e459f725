"""WebSockets on each kind of gunicorn's workers: ``ws://``, and ``wss://`` with its own TLS."""

from __future__ import annotations

import json
import signal
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.harness.control import Control
from tests.harness.servers import Server, serve
from tests.servers.to_wsgi.test_websocket_endings import TARGET, TIMEOUT_S, WORKERS

CERTIFICATE = Path(__file__).parents[2] / "harness" / "localhost.pem"
TLS = ["--certfile", str(CERTIFICATE), "--keyfile", str(CERTIFICATE)]


@contextmanager
def running(worker: str, scheme: str) -> Iterator[Server]:
    spec = replace(WORKERS[worker], name=f"{worker}-{scheme}")
    args = TLS if scheme == "wss" else []
    with serve(spec, TARGET, args=args, ready_path=None) as server:
        yield server


@pytest.fixture(scope="module", params=product(WORKERS, ["ws", "wss"]), ids="-".join)
def server(request: pytest.FixtureRequest, control: Control) -> Iterator[Server]:
    with running(*request.param) as server:
        yield server
        server.terminate()
        assert "bridge/asgi_to_wsgi" not in server.log()  # in a traceback


def scheme_of(server: Server) -> str:
    return server.spec.name.rpartition("-")[2]


@contextmanager
def websocket(server: Server, path: str, **more: Any) -> Iterator[ClientConnection]:
    kind: dict[str, Any] = {"open_timeout": TIMEOUT_S, "compression": None, **more}
    if scheme_of(server) == "wss":
        kind["ssl"] = ssl.create_default_context(cafile=str(CERTIFICATE))
    with connect(f"{scheme_of(server)}://localhost:{server.port}{path}", **kind) as client:
        yield client


def test_text_and_bytes_come_back(server: Server, control: Control, key: str) -> None:
    path = "/echo" if "gevent" in server.spec.name else f"/echo?key={key}"
    with websocket(server, path, max_size=None) as client:
        for message in ("", "caf\xe9", b"", bytes(range(256)) * 8000, "x" * 200_000):
            client.send(message)
            assert client.recv(TIMEOUT_S) == message
        client.send(["fr", "ag", "ments"])
        assert client.recv(TIMEOUT_S) == "fragments"
        assert client.ping().wait(TIMEOUT_S)
        client.close(4001, "enough")

    if "key" in path:
        (end,) = control.expect(key, "end")
        assert (end["code"], end["reason"]) == (4001, "enough")


def test_many_messages_come_back_in_order(server: Server) -> None:
    """With TLS, many are in one record: OpenSSL holds what is left of it, while the descriptor is
    not readable."""
    with websocket(server, "/echo") as client:
        for number in range(500):
            client.send(str(number))
        assert [client.recv(TIMEOUT_S) for _ in range(500)] == [str(n) for n in range(500)]


def test_the_app_sees_the_scheme(server: Server) -> None:
    with websocket(server, "/facts") as client:
        assert json.loads(client.recv(TIMEOUT_S))["scheme"] == scheme_of(server)


def test_the_app_closes(server: Server) -> None:
    with websocket(server, "/close?code=4002&reason=so") as client:
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(TIMEOUT_S)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4002, "so")


def test_a_client_that_does_not_read_stops_the_app(
    server: Server, control: Control, key: str
) -> None:
    if "gevent" in server.spec.name:
        pytest.skip("the app reports from threads, which are greenlets here")
    with websocket(server, f"/push?key={key}", max_queue=1) as client:
        before = -1
        while (count := len(control.reports(key, "sent"))) != before:  # until it stands still
            before = count
            with websocket(server, "/echo") as other:
                other.send("a")
                other.recv(TIMEOUT_S)
        first = client.recv(TIMEOUT_S)
        assert len(first) == 65536
        client.close_timeout = 0.1
    assert control.expect(key, "disconnected")[0]["error"] == "ClientDisconnected"


def test_the_end_of_a_worker_with_tls_closes_with_1012() -> None:
    with (
        running("gthread", "wss") as server,
        websocket(server, "/echo") as client,
    ):
        server.signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(TIMEOUT_S)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
