"""A WebSocket is taken over from a WSGI server: what becomes of the thread and the connection."""

from __future__ import annotations

import asyncio
import io
import os
import resource
import socket
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from bridge import _repeated_log
from bridge._repeated_log import RepeatedLog
from bridge.asgi_to_wsgi.websocket import limits, serve
from bridge.asgi_to_wsgi.websocket.codec import negotiated_codec
from bridge.asgi_to_wsgi.websocket.raw_socket import find_raw_socket
from bridge.types import Environ, Receive, Scope, Send
from tests.harness.wsgi import environ_of
from tests.unit.asgi_to_wsgi.conftest import ToWsgi

TIMEOUT_S = 30.0
HANDSHAKE = (
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ("Sec-WebSocket-Version", "13"),
)
HELLO = b"\x81\x82" + bytes(4) + b"hi"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "websocket":
        raise NotImplementedError(scope["type"])
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


@pytest.fixture
def connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The server's end of a connection, and the client's."""
    server, client = socket.socketpair()
    client.settimeout(TIMEOUT_S)
    with server, client:
        yield server, client


def handshake(server: socket.socket) -> Environ:
    reader = io.BufferedReader(socket.SocketIO(server, "r"))
    return environ_of(headers=HANDSHAKE, keys={"werkzeug.socket": server, "wsgi.input": reader})


def head_of(client: socket.socket) -> bytes:
    received = b""
    while not received.endswith(b"\r\n\r\n"):
        received += client.recv(1)
    return received


def ignore(status: str, headers: Any, exc_info: Any = None) -> Any:
    return lambda data: None


def test_the_server_gets_a_decoy_that_is_at_its_end(
    to_wsgi: ToWsgi, connection: tuple[socket.socket, socket.socket]
) -> None:
    server, client = connection
    response: Any = to_wsgi(echo)(handshake(server), ignore)

    assert head_of(client).startswith(b"HTTP/1.1 101 ")
    assert list(response) == []
    server.sendall(b"HTTP/1.1 101 of the server\r\n\r\n")  # reaches nobody
    assert server.recv(1) == b""
    response.close()
    server.close()
    client.sendall(HELLO)
    assert client.recv(10) == b"\x81\x02hi"


def test_an_error_of_the_server_after_the_takeover_does_not_end_the_websocket(
    to_wsgi: ToWsgi, connection: tuple[socket.socket, socket.socket]
) -> None:
    """Such as the SystemExit of a signal handler, on the main thread of gunicorn's sync worker."""
    server, client = connection

    def exits(status: str, headers: Any, exc_info: Any = None) -> Any:
        raise SystemExit(0)

    with pytest.raises(SystemExit):
        to_wsgi(echo)(handshake(server), exits)

    assert head_of(client).startswith(b"HTTP/1.1 101 ")
    client.sendall(HELLO)
    assert client.recv(10) == b"\x81\x02hi"


def test_without_descriptors_the_connection_stays_the_servers(
    to_wsgi: ToWsgi, connection: tuple[socket.socket, socket.socket]
) -> None:
    server, client = connection
    app, environ = to_wsgi(echo), handshake(server)
    app.start()
    answers: list[str] = []

    def note(status: str, headers: Any, exc_info: Any = None) -> Any:
        answers.append(status)
        return None

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.dup(0)]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0] + 8, hard))
        with suppress(OSError):
            taken += iter(partial(os.dup, 0), None)
        list(app(environ, note))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in taken:
            os.close(descriptor)

    assert answers == ["503 Service Unavailable"]
    server.sendall(b"of the server")
    assert client.recv(100) == b"of the server"


def test_without_the_package_websockets_the_answer_is_501_and_what_to_install(
    to_wsgi: ToWsgi,
    connection: tuple[socket.socket, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("websockets", "bridge.asgi_to_wsgi.websocket.session"):
        monkeypatch.setitem(sys.modules, name, None)
    answers: list[str] = []

    def note(status: str, headers: Any, exc_info: Any = None) -> Any:
        answers.append(status)
        return None

    (body,) = to_wsgi(echo)(handshake(connection[0]), note)

    assert answers == ["501 Not Implemented"]
    assert b"pip install wsgi-asgi-bridge[websocket]" in body


def test_handshakes_that_are_refused_do_not_fill_the_log(
    to_wsgi: ToWsgi,
    connection: tuple[socket.socket, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(_repeated_log, "INTERVAL_S", 3600.0)
    monkeypatch.setattr(serve, "repeated", RepeatedLog(serve.logger))
    monkeypatch.setattr(limits, "limit", lambda: 0)
    app = to_wsgi(echo)
    answers: list[str] = []

    def note(status: str, headers: Any, exc_info: Any = None) -> Any:
        answers.append(status)
        return None

    for _ in range(5):
        app(handshake(connection[0]), note)

    assert answers == ["503 Service Unavailable"] * 5
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_limited_file_of_the_connection_leads_to_its_socket(
    to_wsgi: ToWsgi, connection: tuple[socket.socket, socket.socket]
) -> None:
    """As cheroot's ``wsgi.input``, which limits what is read from the file ``rfile``."""
    server, client = connection
    environ = handshake(server)
    del environ["werkzeug.socket"]
    environ["wsgi.input"] = SimpleNamespace(rfile=environ["wsgi.input"])
    response: Any = to_wsgi(echo)(environ, ignore)

    assert head_of(client).startswith(b"HTTP/1.1 101 ")
    response.close()


@pytest.mark.parametrize("keys", [{"SERVER_PROTOCOL": "HTTP/2"}, {"asgi.scope": {}}])
def test_a_socket_that_is_not_of_this_request_alone_is_not_taken(
    connection: tuple[socket.socket, socket.socket], keys: dict[str, Any]
) -> None:
    """Over HTTP/2 many requests share it; behind another bridge it is no client's."""
    own: dict[str, Any] = {"gunicorn.socket": connection[0], "SERVER_PROTOCOL": "HTTP/1.1"}

    assert find_raw_socket(environ_of(keys=own)) is not None
    assert find_raw_socket(environ_of(keys={**own, **keys})) is None


def masked(opcode: int, data: bytes) -> bytes:
    """A frame of the client, of less than 126 bytes."""
    return bytes((opcode, 0x80 | len(data))) + bytes(4) + data


def opened(app: Any, server: socket.socket, client: socket.socket) -> None:
    """Open a WebSocket. The server has closed its own socket."""
    response: Any = app(handshake(server), ignore)
    head_of(client)
    response.close()
    server.close()


def test_of_the_pings_of_a_client_that_does_not_read_the_last_is_answered(
    to_wsgi: ToWsgi, connection: tuple[socket.socket, socket.socket]
) -> None:
    """All answers would wait in memory, without a limit."""
    server, client = connection
    count = 20_000
    opened(to_wsgi(echo), server, client)
    client.sendall(b"".join(masked(0x89, b"%0100d" % number) for number in range(count)))
    client.sendall(HELLO)  # its echo waits, too, and keeps its place
    client.shutdown(socket.SHUT_WR)

    received = b"".join(iter(partial(client.recv, 65536), b""))
    assert 0 < received.count(b"\x8a\x64") < count / 2
    assert b"\x81\x02hi" in received


def test_no_pong_is_awaited_while_the_app_is_behind(
    to_wsgi: ToWsgi, connection: tuple[socket.socket, socket.socket]
) -> None:
    """Nothing is read then, so the pong could not be either."""
    goes_on = Event()

    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while not goes_on.is_set():
                await asyncio.sleep(0.01)
            await send({**await receive(), "type": "websocket.send"})

    server, client = connection
    app = to_wsgi(behind, body_window=1, ping_interval_s=0.3, ping_timeout_s=0.3)
    opened(app, server, client)
    client.sendall(HELLO)  # fills the window

    pings = b"".join(client.recv(1) for _ in range(6))
    goes_on.set()
    assert pings == b"\x89\x00" * 3
    answer = client.recv(2)
    while answer == b"\x89\x00":
        answer = client.recv(2)
    assert answer + client.recv(2) == b"\x81\x02hi"


def test_many_small_fragments_take_no_more_memory_than_their_message(
    to_wsgi: ToWsgi, connection: tuple[socket.socket, socket.socket]
) -> None:
    server, client = connection
    count = 20_000
    opened(to_wsgi(echo), server, client)
    for opcode in (0x01, 0x02):
        tracemalloc.start()
        try:
            client.sendall(masked(opcode, b"ab") + masked(0x00, b"cd") * count)
            for _ in range(2):  # the frames of the last read are freed with the next one
                client.sendall(masked(0x89, b"read"))
                assert client.recv(6) == b"\x8a\x04read"
            used, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        client.sendall(masked(0x80, b"ef"))
        size = 2 * count + 4
        expected = bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + b"ab" + b"cd" * count
        received = b""
        while len(received) < len(expected) + 2:
            received += client.recv(65536)
        assert received == expected + b"ef"
        assert used < 10 * size


def test_a_window_of_8_bits_is_not_negotiated(to_wsgi: ToWsgi) -> None:
    """zlib has none for compressing: the first message to the client would raise."""
    environ = {
        "HTTP_SEC_WEBSOCKET_EXTENSIONS": "permessage-deflate; server_max_window_bits=8",
    }
    codec, response = negotiated_codec(environ, to_wsgi(echo).options)

    assert (list(codec.extensions), response) == ([], None)
