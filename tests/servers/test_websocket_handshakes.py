"""Malformed WebSocket handshakes to a WSGI app with ``websocket_threads``, on each ASGI server."""

from __future__ import annotations

import base64

import pytest

from tests.conftest import LiveServer, Servers
from tests.harness.http import Stream
from tests.harness.servers import ASGI_SERVERS, SERVERS

TARGET = "tests.apps.wsgi_sock:app"
KEY = base64.b64encode(bytes(16)).decode()
PROTOCOLS = {
    "only commas": ",,",
    "empty": "",
    "space": " ",
    "a space inside": "a b",
    "a control character": "a\x01",
    "not ASCII": "caf\xe9",
    "quotes": '"chat.v2"',
    "one of three": ",x y,chat.v2,",
}
FAILS_ITSELF = {
    "hypercorn": ["not ASCII"],
    "daphne": ["not ASCII"],
    "uvicorn-h11": ["a control character"],
    "uvicorn-httptools": ["a control character"],
    "uvicorn-uvloop": ["a control character"],
}
"""What a server fails at before it calls the app, or never answers."""


def handshake(server: LiveServer, fields: str) -> tuple[int, list[str]]:
    """The status of the response, and its subprotocols."""
    stream = Stream(server.port)
    head = (
        f"GET /echo HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        f"sec-websocket-key: {KEY}\r\nsec-websocket-version: 13\r\n{fields}\r\n"
    )
    stream.send(head.encode("latin-1"))
    status_line, *lines = stream.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
    stream.close()
    pairs = (line.partition(":") for line in lines)
    chosen = [value.strip() for name, _, value in pairs if name.lower() == "sec-websocket-protocol"]
    return int(status_line.split()[1]), chosen


@pytest.mark.parametrize("name", [name for name in ASGI_SERVERS if SERVERS[name].http == "1.1"])
def test_a_malformed_subprotocol_is_ignored_or_refused_by_the_server(
    servers: Servers, name: str
) -> None:
    """RFC 6455, 4.1: subprotocols are non-empty tokens. A list may have empty elements (RFC 9110,
    5.6.1), which hypercorn passes on.
    """
    server = LiveServer.of(servers.get(name, TARGET, env={}))

    for what in set(PROTOCOLS) - set(FAILS_ITSELF.get(name, ())):
        status, chosen = handshake(server, f"sec-websocket-protocol: {PROTOCOLS[what]}\r\n")
        assert status in (101, 400), what
        assert chosen in ([], ["chat.v2"]), what

    assert handshake(server, "sec-websocket-protocol: chat.v1, chat.v2\r\n") == (101, ["chat.v2"])
    assert "Traceback" not in server.log()
    assert servers.pop_dead() == []
