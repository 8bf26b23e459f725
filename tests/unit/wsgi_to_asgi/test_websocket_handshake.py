"""The handshake of an app on its raw socket, and what of it reaches the client."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import threading
from collections.abc import Iterable
from typing import Any

import pytest

import bridge
from bridge.types import Environ, Message, StartResponse
from tests.harness.asgi import http_scope

DEADLINE_S = 30
CLOSE = 0x88  # the first byte of a close frame
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


def accept(environ: Environ, lines: bytes = b"") -> None:
    """Accept the WebSocket, with these header lines besides those that it needs."""
    digest = hashlib.sha1((environ["HTTP_SEC_WEBSOCKET_KEY"] + GUID).encode()).digest()
    key = b"Sec-WebSocket-Accept: " + base64.b64encode(digest)
    fixed = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    environ["werkzeug.socket"].sendall(fixed + key + b"\r\n" + lines + b"\r\n")


class RawApp:
    """Answers a handshake on its socket, with more header lines than it needs.

    :ivar ended: it has read to the end of its socket.
    :ivar offered: the subprotocols that it got; None if there was no such header.
    :ivar sent: what the adapter has sent to the server.
    """

    def __init__(self, lines: bytes = b"") -> None:
        self.lines = lines
        self.ended = threading.Event()
        self.offered: str | None = None
        self.sent: list[Message] = []

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        self.offered = environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL")
        with environ["werkzeug.socket"] as app_end:
            accept(environ, self.lines)
            while (data := app_end.recv(1000)) and data[0] != CLOSE:
                pass
        self.ended.set()
        start_response("200 OK", [])
        return []


async def connect(app: RawApp, subprotocols: list[str] | None = None) -> list[Message]:
    """What the adapter sends to the server, for a client that disconnects after the handshake."""
    scope = {
        **http_scope(extensions={"websocket.http.response": {}}),
        "type": "websocket",
        "scheme": "ws",
        "subprotocols": subprotocols or [],
    }
    messages: list[Message] = [
        {"type": "websocket.connect"},
        {"type": "websocket.disconnect", "code": 1001},
    ]

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        app.sent.append(message)

    await bridge.to_asgi(app, websocket_threads=1)(scope, receive, send)
    return app.sent


async def test_headers_of_the_app_are_sent() -> None:
    (accepted,) = await connect(RawApp(b"X-Boat: Heron\r\n"))
    assert accepted["type"] == "websocket.accept"
    assert (b"x-boat", b"Heron") in accepted["headers"]


@pytest.mark.parametrize("value", [b"a\x01b", b"a\x7f", b"\x1b[0m"])
async def test_control_characters_in_headers_of_the_app_are_refused(value: bytes) -> None:
    app = RawApp(b"X-Boat: " + value + b"\r\n")

    with pytest.raises(bridge.AppProtocolError, match="value of header 'x-boat' is"):
        await connect(app)

    start, _ = app.sent
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 500)
    assert app.ended.wait(DEADLINE_S), "the app waits for its socket"


async def test_an_app_that_breaks_the_handshake_is_a_500() -> None:
    app = RawApp(b"no header line\r\n")

    with pytest.raises(bridge.AppProtocolError, match="the app broke RFC 6455"):
        await connect(app)

    start, _ = app.sent
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 500)
    assert app.ended.wait(DEADLINE_S), "the app waits for its socket"


@pytest.mark.parametrize(
    ("subprotocols", "offered"),
    [
        ([], None),
        (["", "", ""], None),
        (["chat.v1", "", "chat.v2"], "chat.v1, chat.v2"),
        (["a b", "chat.v2", "caf\xe9", "\x01", "\u20ac", "a,b"], "chat.v2"),
    ],
)
async def test_only_subprotocols_that_are_tokens_reach_the_app(
    subprotocols: list[str], offered: Any
) -> None:
    app = RawApp()
    (accepted,) = await connect(app, subprotocols)
    assert accepted["type"] == "websocket.accept"
    assert app.offered == offered


@pytest.mark.parametrize(
    ("status", "code"), [("200 OK", 1000), ("499 Mine", 1000), ("500 Error", 1011)]
)
async def test_the_status_of_an_app_that_has_ended_selects_the_close_code(
    status: str, code: int
) -> None:
    def ends(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        with environ["werkzeug.socket"]:
            accept(environ)
        start_response(status, [])
        return []

    scope = {**http_scope(), "type": "websocket", "scheme": "ws", "subprotocols": []}
    messages: list[Message] = [{"type": "websocket.connect"}]
    sent: list[Message] = []

    async def receive() -> Message:
        if not messages:
            await asyncio.Event().wait()  # the client waits
        return messages.pop()

    async def send(message: Message) -> None:
        sent.append(message)

    async with asyncio.timeout(DEADLINE_S):
        await bridge.to_asgi(ends, websocket_threads=1)(scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
    assert sent[1]["code"] == code
