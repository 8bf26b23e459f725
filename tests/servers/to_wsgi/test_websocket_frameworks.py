"""WebSockets of Litestar and Strawberry under gunicorn's gthread worker.

Collected only where both are installed: by ``nox -s websocket_frameworks``. FastAPI,
Starlette, Quart, Falcon, Sanic and Channels are in ``tests/servers/router/test_frameworks.py``, and
Channels with Redis is in ``tests/django/test_channels.py``.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.servers.to_wsgi.conftest import LiveWsgiServer, WsgiServers

TIMEOUT_S = 30.0
TRANSPORT, LEGACY = Subprotocol("graphql-transport-ws"), Subprotocol("graphql-ws")
COUNT = {"query": "subscription { count(last: 3) }"}


@pytest.fixture
def litestar(wsgi_servers: WsgiServers) -> LiveWsgiServer:
    return wsgi_servers.get("gunicorn-gthread", "tests.apps.asgi_litestar:app")


@pytest.fixture
def strawberry(wsgi_servers: WsgiServers) -> LiveWsgiServer:
    return wsgi_servers.get("gunicorn-gthread", "tests.apps.asgi_strawberry:app")


def websocket(at: LiveWsgiServer, path: str, *subprotocols: Subprotocol) -> ClientConnection:
    url = f"ws://127.0.0.1:{at.port}{path}"
    return connect(url, open_timeout=TIMEOUT_S, subprotocols=subprotocols or None)


def receive(client: ClientConnection) -> Any:
    return json.loads(client.recv(TIMEOUT_S))


def test_a_listener_of_litestar_answers_json(litestar: LiveWsgiServer) -> None:
    with websocket(litestar, "/echo") as client:
        for value in ({"text": "caf\xe9"}, {"numbers": list(range(10_000))}):
            client.send(json.dumps(value))
            assert receive(client) == {"litestar": value}


def test_litestar_accepts_with_a_subprotocol_and_closes_with_its_code(
    litestar: LiveWsgiServer,
) -> None:
    with websocket(litestar, "/count/3", Subprotocol("count.v1")) as client:
        assert client.subprotocol == "count.v1"
        assert client.response is not None
        assert client.response.headers["x-own"] == "yes"
        assert [client.recv(TIMEOUT_S) for _ in range(3)] == ["0", "1", "2"]
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(TIMEOUT_S)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4000, "counted")


def test_a_graphql_subscription_of_strawberry(strawberry: LiveWsgiServer) -> None:
    """graphql-transport-ws, and two subscriptions over one WebSocket."""
    with websocket(strawberry, "/graphql", TRANSPORT) as client:
        client.send(json.dumps({"type": "connection_init"}))
        assert receive(client)["type"] == "connection_ack"
        for name in ("one", "two"):
            client.send(json.dumps({"type": "subscribe", "id": name, "payload": COUNT}))
        client.send(json.dumps({"type": "ping"}))
        messages = [receive(client) for _ in range(9)]

    assert {"type": "pong"} in messages
    for name in ("one", "two"):
        own = [each for each in messages if each.get("id") == name]
        numbers = [each["payload"]["data"]["count"] for each in own[:-1]]
        assert numbers == [0, 1, 2]
        assert own[-1]["type"] == "complete"


def test_a_graphql_subscription_in_the_older_protocol(strawberry: LiveWsgiServer) -> None:
    with websocket(strawberry, "/graphql", LEGACY) as client:
        client.send(json.dumps({"type": "connection_init"}))
        assert receive(client)["type"] == "connection_ack"
        client.send(json.dumps({"type": "start", "id": "one", "payload": COUNT}))
        messages = [receive(client) for _ in range(4)]

    assert [each["type"] for each in messages] == ["data", "data", "data", "complete"]


def test_strawberry_closes_with_its_own_codes(strawberry: LiveWsgiServer) -> None:
    with websocket(strawberry, "/graphql", TRANSPORT) as client:
        client.send(json.dumps({"type": "subscribe", "id": "one", "payload": COUNT}))
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(TIMEOUT_S)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4401, "Unauthorized")
