"""WebSockets of an ASGI app on WSGI servers that leave the raw socket in the environ."""

from __future__ import annotations

import base64
import json
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any, Protocol

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.harness.control import Control
from tests.harness.http import Response, Stream
from tests.harness.wsgi_servers import WSGI
from tests.servers.to_wsgi.conftest import LiveWsgiServer, WsgiServers, options

TARGET = "tests.apps.asgi_websockets:app"
TIMEOUT_S = 30.0
KEY = base64.b64encode(bytes(16)).decode()
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}
WITH_SOCKETS = ["gunicorn-sync", "gunicorn-gthread", "werkzeug", "wsgiref"]
WITHOUT_SOCKETS = ["waitress", "granian-wsgi"]


@pytest.fixture(params=WITH_SOCKETS)
def server(request: pytest.FixtureRequest, wsgi_servers: WsgiServers) -> Iterator[LiveWsgiServer]:
    """The endpoints on each server with a raw socket in turn."""
    live_server = wsgi_servers.get(request.param, TARGET)
    yield live_server
    assert live_server.server.process.poll() is None, f"{request.param} exited during the test"


@pytest.fixture
def gthread(wsgi_servers: WsgiServers) -> LiveWsgiServer:
    return wsgi_servers.get("gunicorn-gthread", TARGET)


class Opening(Protocol):
    """Connects and sends a handshake. The connection closes with the test."""

    def __call__(self, at: LiveWsgiServer, path: str, **replaced: str) -> Stream: ...


@pytest.fixture
def opening() -> Iterator[Opening]:
    streams = []

    def connected(at: LiveWsgiServer, path: str, **replaced: str) -> Stream:
        fields = {"Host": "x", **HANDSHAKE}
        fields.update({name.replace("_", "-"): value for name, value in replaced.items()})
        body = fields.pop("body", "")
        lines = [f"{name}: {value}\r\n" for name, value in fields.items() if value]
        stream = Stream(at.port)
        streams.append(stream)
        stream.send(f"GET {path} HTTP/1.1\r\n{''.join(lines)}\r\n{body}".encode("latin-1"))
        return stream

    yield connected
    for stream in streams:
        stream.close()


@contextmanager
def websocket(at: LiveWsgiServer, path: str, **more: Any) -> Iterator[ClientConnection]:
    kind: dict[str, Any] = {"open_timeout": TIMEOUT_S, "compression": None, **more}
    with connect(f"ws://127.0.0.1:{at.port}{path}", **kind) as client:
        yield client


def closed_by(at: LiveWsgiServer, path: str, **more: Any) -> tuple[int, str]:
    """The code and reason with which the server closes the WebSocket."""
    with websocket(at, path, **more) as client:
        return close_of(client)


def close_of(client: ClientConnection) -> tuple[int, str]:
    with pytest.raises(ConnectionClosed) as closed:
        deque(iter(partial(client.recv, TIMEOUT_S), None))  # until it raises
    received = closed.value.rcvd
    return (received.code, received.reason) if received is not None else (1006, "")


def refused(at: LiveWsgiServer, path: str, *more: tuple[str, str]) -> Response:
    """The response in place of the WebSocket."""
    return at.client.fetch("GET", path, [*HANDSHAKE.items(), *more])


def end_of(control: Control, key: str) -> tuple[int, str]:
    """The disconnect that the app has received."""
    (end,) = control.expect(key, "end")
    return end["code"], end["reason"]


# -- messages --------------------------------------------------------------------------------------


def test_text_and_bytes_come_back(server: LiveWsgiServer, control: Control, key: str) -> None:
    with websocket(server, f"/echo?key={key}", max_size=None) as client:
        for message in ("", "caf\xe9 \U0001f600", b"", bytes(range(256)) * 2000, "x" * 200_000):
            client.send(message)
            assert client.recv(TIMEOUT_S) == message
        client.close(4001, "enough")

    assert end_of(control, key) == (4001, "enough")


def test_fragments_are_one_message(gthread: LiveWsgiServer) -> None:
    with websocket(gthread, "/echo") as client:
        client.send(["caf", "\xe9", ""])
        assert client.recv(TIMEOUT_S) == "caf\xe9"
        client.send([b"ab", b"", b"c"])
        assert client.recv(TIMEOUT_S) == b"abc"


def test_a_ping_is_answered(gthread: LiveWsgiServer) -> None:
    with websocket(gthread, "/echo") as client:
        assert client.ping("beat").wait(TIMEOUT_S)


def test_messages_can_be_compressed(gthread: LiveWsgiServer) -> None:
    with websocket(gthread, "/echo", compression="deflate") as client:
        assert client.response is not None
        assert "permessage-deflate" in client.response.headers["Sec-WebSocket-Extensions"]
        for message in ("abc" * 50_000, "", b"abc" * 50_000):
            client.send(message)
            assert client.recv(TIMEOUT_S) == message


# -- the handshake ---------------------------------------------------------------------------------


def test_the_app_sees_the_handshake(server: LiveWsgiServer) -> None:
    with websocket(server, "/a/facts?x=%20", additional_headers={"X-Test": "yes"}) as client:
        seen = json.loads(client.recv(TIMEOUT_S))

    assert seen == {
        "type": "websocket",
        "scheme": "ws",
        "path": "/a/facts",
        "root_path": "",
        "subprotocols": [],
        "http_version": "1.1",
        "extensions": {"websocket.http.response": {}},
        "query": "x=%20",
        "x_test": "yes",
        "method": None,
    }


def test_the_app_chooses_a_subprotocol_and_sets_cookies(server: LiveWsgiServer) -> None:
    with websocket(server, "/facts", subprotocols=["chat.v1", "chat.v2"]) as client:
        assert client.subprotocol == "chat.v2"
        assert client.response is not None
        assert client.response.headers.get_all("set-cookie") == ["a=1", "b=2"]
        assert client.response.headers["x-own"] == "yes"
        assert json.loads(client.recv(TIMEOUT_S))["subprotocols"] == ["chat.v1", "chat.v2"]


def test_an_app_that_accepts_late_occupies_no_thread(
    opening: Opening, gthread: LiveWsgiServer, control: Control, key: str
) -> None:
    """Eight of them, on four threads."""
    streams = [opening(gthread, f"/gated?key={key}") for _ in range(8)]
    control.expect_waiting(key, "accept", 8)

    assert gthread.client.fetch("GET", "/").status == 200

    control.open(key, "accept")
    for stream in streams:
        assert stream.until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        stream.close()
    assert {end["code"] for end in control.expect(key, "end", 8)} == {1006}


@pytest.mark.parametrize(
    ("field", "value", "status", "says"),
    [
        ("Sec_WebSocket_Version", "8", 426, b"supports 13"),
        ("Sec_WebSocket_Version", "", 426, b"supports 13"),
        ("Sec_WebSocket_Key", "", 400, b"16 bytes"),
        ("Sec_WebSocket_Key", "c2hvcnQ=", 400, b"16 bytes"),
        ("Content_Length", "5", 400, b"has no body"),
    ],
)
def test_a_malformed_handshake_never_reaches_the_app(
    opening: Opening, server: LiveWsgiServer, field: str, value: str, status: int, says: bytes
) -> None:
    body = "hello" if field == "Content_Length" else ""
    stream = opening(server, "/echo", body=body, **{field: value})
    head = stream.until(b"\r\n\r\n").lower()

    assert head.split(b" ")[1] == str(status).encode()
    assert (b"sec-websocket-version: 13" in head) == (status == 426)
    assert says in stream.rest()


def test_data_behind_the_head_is_refused(opening: Opening, server: LiveWsgiServer) -> None:
    stream = opening(server, "/echo", body="\x81\x80\x00\x00\x00\x00")

    assert stream.until(b"\r\n").split(b" ")[1] == b"400"


# -- denied ----------------------------------------------------------------------------------------


def test_a_close_before_accept_is_403(server: LiveWsgiServer, control: Control, key: str) -> None:
    assert refused(server, f"/deny?key={key}").status == 403
    assert end_of(control, key) == (1006, "")


@pytest.mark.parametrize("late", ["", "&late"])
def test_an_app_denies_with_a_response(
    server: LiveWsgiServer, control: Control, key: str, late: str
) -> None:
    control.open(key, "deny")
    response = refused(server, f"/respond_instead?key={key}{late}")

    assert (response.status, response.body) == (401, b"who are you")
    assert response.header("x-own") == "yes"
    assert response.header("set-cookie") == "a=1"
    assert end_of(control, key) == (1006, "")


@pytest.mark.parametrize("late", [False, True])
def test_an_app_that_raises_first_gets_500_and_its_error_is_logged(
    opening: Opening, gthread: LiveWsgiServer, control: Control, key: str, late: bool
) -> None:
    stream = opening(gthread, f"/fail?key={key}{'&late' if late else ''}")
    if late:
        control.expect_waiting(key, "fail")
        control.open(key, "fail")

    assert stream.until(b"\r\n").split(b" ")[1] == b"500"
    log = gthread.log(wait_for=f"Boom: {key}")
    assert log.count(f"Boom: {key}") == 1


def test_an_app_that_returns_first_gets_500(gthread: LiveWsgiServer) -> None:
    assert refused(gthread, "/leave").status == 500
    assert "returned (the WebSocket is not accepted yet)" in gthread.log(wait_for="returned")


# -- closed ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999])
def test_the_app_closes_with_its_code(
    server: LiveWsgiServer, control: Control, key: str, code: int
) -> None:
    assert closed_by(server, f"/close?key={key}&code={code}&reason=so") == (code, "so")
    assert end_of(control, key) == (code, "so")


def test_a_code_that_no_close_frame_may_have_is_an_error(
    gthread: LiveWsgiServer, control: Control, key: str
) -> None:
    assert closed_by(gthread, f"/close?key={key}&code=1006") == (1011, "")
    assert "RFC 6455 allows 1000 to 1003" in gthread.log(wait_for="RFC 6455")


def test_an_app_that_raises_closes_with_1011(gthread: LiveWsgiServer, key: str) -> None:
    assert closed_by(gthread, f"/fail?open&key={key}") == (1011, "")
    assert f"Boom: {key}" in gthread.log(wait_for=f"Boom: {key}")


def test_an_app_that_returns_closes_with_1000(gthread: LiveWsgiServer) -> None:
    assert closed_by(gthread, "/leave?open") == (1000, "")


def test_a_client_without_a_code_is_1005_and_one_that_vanishes_is_1006(
    opening: Opening, server: LiveWsgiServer, control: Control, key: str
) -> None:
    stream = opening(server, f"/echo?key={key}")
    stream.until(b"\r\n\r\n")
    stream.send(b"\x88\x80\x00\x00\x00\x00")
    assert stream.rest() == b"\x88\x00"
    assert end_of(control, key) == (1005, "")

    stream = opening(server, f"/echo?key={key}")
    stream.until(b"\r\n\r\n")
    stream.reset()
    assert [end["code"] for end in control.expect(key, "end", 2)] == [1005, 1006]


def test_a_client_may_close_in_the_middle_of_a_message(
    opening: Opening, gthread: LiveWsgiServer, control: Control, key: str
) -> None:
    """RFC 6455, 5.4: control frames may be injected in the middle of a fragmented message."""
    stream = opening(gthread, f"/echo?key={key}")
    stream.until(b"\r\n\r\n")
    stream.send(b"\x01\x81\x00\x00\x00\x00a" + b"\x88\x82\x00\x00\x00\x00\x03\xe8")

    assert stream.rest() == b"\x88\x02\x03\xe8"
    assert end_of(control, key) == (1000, "")


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        pytest.param(b"\x81\x01a", 1002, id="not masked"),
        pytest.param(b"\xc1\x80\x00\x00\x00\x00", 1002, id="reserved bit"),
        pytest.param(b"\x83\x80\x00\x00\x00\x00", 1002, id="unknown opcode"),
        pytest.param(b"\x80\x80\x00\x00\x00\x00", 1002, id="nothing to continue"),
        pytest.param(b"\x81\x81\x00\x00\x00\x00\xff", 1007, id="not UTF-8"),
        pytest.param(b"\x01\x81\x00\x00\x00\x00\xff", 1007, id="not UTF-8 in a fragment"),
        pytest.param(b"\x82\xff" + (2**40).to_bytes(8) + b"\x00" * 4, 1009, id="too big"),
    ],
)
def test_a_client_that_breaks_the_protocol_is_closed(
    opening: Opening, gthread: LiveWsgiServer, control: Control, key: str, frame: bytes, code: int
) -> None:
    stream = opening(gthread, f"/echo?key={key}")
    stream.until(b"\r\n\r\n")
    stream.send(frame)
    answer = stream.rest()

    assert answer[0] == 0x88
    assert int.from_bytes(answer[2:4]) == code
    assert end_of(control, key)[0] == code


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ({"type": "websocket.send"}, "bytes is NoneType, text is NoneType"),
        ({"type": "websocket.send", "text": 5}, "text is int"),
        ({"type": "websocket.send", "bytes": "a"}, "bytes is str"),
        ({"type": "websocket.close", "reason": 5}, "code is int, reason is int"),
        ({"type": "websocket.close", "code": "1000"}, "code is str, reason is str"),
        ({"type": "websocket.accept"}, "sent websocket.accept when the WebSocket is open"),
        ({"type": "http.response.start", "status": 200}, "allowed was websocket.send"),
    ],
)
def test_a_message_that_is_not_allowed_is_an_error_of_the_app(
    gthread: LiveWsgiServer, message: dict[str, object], says: str
) -> None:
    with websocket(gthread, f"/say?message={json.dumps(message)}".replace(" ", "")) as client:
        assert says in str(client.recv(TIMEOUT_S))


# -- backpressure ----------------------------------------------------------------------------------


def test_a_client_that_does_not_read_stops_the_app(
    opening: Opening, gthread: LiveWsgiServer, control: Control, key: str
) -> None:
    stream = opening(gthread, f"/push?key={key}")
    stream.until(b"\r\n\r\n")
    before = -1
    while (count := len(control.reports(key, "sent"))) != before:  # until it stands still
        before = count
        gthread.client.fetch("GET", "/")
        control.expect(key, "sent", count, timeout_s=5)
    stream.reset()

    (disconnected,) = control.expect(key, "disconnected")
    assert disconnected["error"] == "ClientDisconnected"


def test_an_app_that_does_not_receive_stops_the_client(
    opening: Opening, gthread: LiveWsgiServer, control: Control, key: str
) -> None:
    stream = opening(gthread, f"/sleep?key={key}")
    stream.until(b"\r\n\r\n")
    control.expect_waiting(key, "receive")
    frame = b"\x82\xfe" + (60_000).to_bytes(2) + bytes(4) + bytes(60_000)
    stream.socket.setblocking(False)
    sent = 0
    with suppress(BlockingIOError):
        while sent < 64 << 20:
            sent += stream.socket.send(frame[sent % len(frame) :])
    assert sent < 64 << 20
    stream.socket.settimeout(TIMEOUT_S)
    control.open(key, "receive")
    stream.send(frame[sent % len(frame) :] if sent % len(frame) else b"")
    stream.send(b"\x81\x83" + bytes(4) + b"end")
    whole = -(-sent // len(frame)) * 60_000

    assert stream.exactly(2)[0] == 0x81
    assert stream.some().decode() == str(whole + 3)
    stream.reset()


# -- the server's side -----------------------------------------------------------------------------


def test_the_server_counts_no_websocket_as_its_connection(wsgi_servers: WsgiServers) -> None:
    """gunicorn accepts no more than ``worker_connections``. Its log shows each handshake."""
    args = ("--worker-connections", "6", "--access-logfile", "-")
    server = wsgi_servers.get("gunicorn-gthread", TARGET, args=args)
    with ExitStack() as stack:
        for _ in range(12):
            client = stack.enter_context(websocket(server, "/echo"))
            client.send("a")
            assert client.recv(TIMEOUT_S) == "a"
        assert server.client.fetch("GET", "/").status == 200

    log = server.log(wait_for='"GET /echo HTTP/1.1" 101 ', times=12)
    assert log.count('"GET /echo HTTP/1.1" 101 ') == 12
    assert "Error" not in log


def test_a_websocket_leaves_no_descriptor(server: LiveWsgiServer) -> None:
    def use() -> None:
        with websocket(server, "/echo") as client:
            client.send("a")
            assert client.recv(TIMEOUT_S) == "a"
        assert refused(server, "/deny").status == 403
        assert closed_by(server, "/close?code=1000") == (1000, "")

    use()
    before = max(server.server.fds() for _ in range(20))
    for _ in range(20):
        use()

    deadline = time.monotonic() + TIMEOUT_S  # a server closes a connection a moment later
    while (held := server.server.fds()) > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert held <= before


# -- options ---------------------------------------------------------------------------------------


def test_a_message_above_the_limit_is_1009(wsgi_servers: WsgiServers) -> None:
    server = wsgi_servers.get(
        "gunicorn-gthread", TARGET, env=options(max_message_bytes=1000, per_message_deflate=False)
    )
    with websocket(server, "/echo", compression="deflate") as client:
        assert client.response is not None
        assert "Sec-WebSocket-Extensions" not in client.response.headers
        client.send("x" * 1000)
        assert client.recv(TIMEOUT_S) == "x" * 1000
        client.send(["x" * 600, "x" * 600])
        assert close_of(client)[0] == 1009


def test_a_client_that_does_not_answer_a_ping_is_closed(
    opening: Opening, wsgi_servers: WsgiServers, control: Control, key: str
) -> None:
    env = options(ping_interval_s=0.2, ping_timeout_s=0.2, close_timeout_s=0.2)
    server = wsgi_servers.get("gunicorn-gthread", TARGET, env=env)
    stream = opening(server, f"/echo?key={key}")
    stream.until(b"\r\n\r\n")

    assert stream.exactly(2) == b"\x89\x00"
    assert stream.rest()[:4] == b"\x88\x18\x03\xf3"
    assert end_of(control, key) == (1011, "keepalive ping timeout")


def test_a_client_that_does_not_answer_a_close_is_cut_off(
    opening: Opening, wsgi_servers: WsgiServers
) -> None:
    env = options(ping_interval_s=0.2, ping_timeout_s=0.2, close_timeout_s=0.2)
    server = wsgi_servers.get("gunicorn-gthread", TARGET, env=env)
    stream = opening(server, "/close?code=1000")
    stream.until(b"\r\n\r\n")

    assert stream.rest() == b"\x88\x02\x03\xe8"


def test_only_listed_origins_may_open_a_websocket(wsgi_servers: WsgiServers) -> None:
    env = options(websocket_origins=["https://Example.org"])
    server = wsgi_servers.get("gunicorn-gthread", TARGET, env=env)

    assert refused(server, "/echo", ("Origin", "https://evil.example")).status == 403
    for allowed in ("https://example.org", None):
        with websocket(server, "/echo", origin=allowed) as client:
            client.send("hi")
            assert client.recv(TIMEOUT_S) == "hi"


def test_off_answers_426(wsgi_servers: WsgiServers) -> None:
    server = wsgi_servers.get("gunicorn-gthread", TARGET, env=options(websockets="off"))

    assert refused(server, "/echo").status == 426


@pytest.mark.parametrize("name", WITHOUT_SOCKETS)
def test_a_server_without_a_raw_socket_answers_501_and_what_to_use(
    wsgi_servers: WsgiServers, name: str
) -> None:
    response = refused(wsgi_servers.get(name, TARGET), "/echo")

    assert response.status == 501
    assert name.removesuffix("-wsgi").encode() in response.body.lower()
    assert b"gunicorn" in response.body


def test_every_server_is_in_one_list() -> None:
    assert {*WITH_SOCKETS, *WITHOUT_SOCKETS, "gunicorn-preload"} == {*WSGI}
