"""Requests to an ASGI app behind each WSGI server: methods, scopes, headers, bodies."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.harness.control import Control
from tests.harness.http import Fields, exchange_raw, split_responses
from tests.servers.to_wsgi.conftest import BODY_WINDOW, LiveWsgiServer, WsgiServers

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
BIG = bytes(range(256)) * 20480  # 5 MiB
OCTETS = ("content-type", "application/octet-stream")


def scope_of(
    live_server: LiveWsgiServer, path: str = "/echo", headers: Fields = ()
) -> dict[str, Any]:
    response = live_server.client.fetch("GET", path, headers)
    assert response.status == 200, response
    scope: dict[str, Any] = response.json()["scope"]
    return scope


def digest_of(data: bytes) -> dict[str, Any]:
    return {
        "length": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


@pytest.mark.parametrize("method", METHODS)
def test_the_method_reaches_the_app(wsgi_server: LiveWsgiServer, method: str) -> None:
    body = None if method in ("GET", "OPTIONS") else b""
    response = wsgi_server.client.fetch(method, "/echo", body=body)

    assert response.status == 200
    assert response.json()["scope"]["method"] == method


def test_the_scope_follows_the_asgi_spec(wsgi_server: LiveWsgiServer) -> None:
    seen = wsgi_server.client.fetch("GET", "/echo/a%20b?q=1&q=%32").json()

    scope = seen["scope"]
    assert scope["type"] == "http"
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.5"}
    assert scope["path"] == "/echo/a b"
    assert scope["root_path"] == ""
    assert scope["query_string"] == "q=1&q=%32"
    assert scope["scheme"] == "http"
    assert scope["http_version"] == "1.1"
    assert scope["server"][1] == wsgi_server.port
    host, port = scope["client"]
    assert host == "127.0.0.1"
    assert isinstance(port, int)
    assert scope["state"] == {"started_in": seen["pid"]}
    assert "http.response.pathsend" in scope["extensions"]
    assert "wsgi_environ" in seen["keys"]
    assert seen["thread_name"] == "bridge-loop"


def test_raw_path_is_the_path_as_the_client_sent_it(wsgi_server: LiveWsgiServer) -> None:
    scope = scope_of(wsgi_server, "/echo/a%2Fb%7e?x")

    assert scope["path"] == "/echo/a/b~"
    keeps_raw_path = wsgi_server.name not in ("wsgiref", "granian-wsgi")  # these two drop it
    assert scope["raw_path"] == ("/echo/a%2Fb%7e" if keeps_raw_path else "/echo/a/b~")


def test_a_utf_8_path_is_decoded(wsgi_server: LiveWsgiServer) -> None:
    scope = scope_of(wsgi_server, "/echo/caf%C3%A9")

    assert scope["path"] == "/echo/caf\xe9"
    assert scope["raw_path"] == "/echo/caf%C3%A9"


def test_headers_arrive_in_lower_case_with_latin_1_values(wsgi_server: LiveWsgiServer) -> None:
    headers = [("X-Custom-Name", "one two"), ("Cookie", "a=1; b=2")]
    if wsgi_server.can.latin_1:
        headers.append(("x-latin", "caf\xe9"))

    seen = [tuple(pair) for pair in scope_of(wsgi_server, headers=headers)["headers"]]

    for name, value in headers:
        assert (name.lower(), value) in seen
    assert all(name == name.lower() for name, _ in seen)
    assert len([value for name, value in seen if name == "host"]) == 1


# -- bodies ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, BODY_WINDOW, BODY_WINDOW + 1, len(BIG)])
def test_a_body_with_a_content_length_arrives_whole(wsgi_server: LiveWsgiServer, size: int) -> None:
    body = BIG[:size]

    seen = wsgi_server.client.fetch("POST", "/upload", [OCTETS], body).json()

    assert seen == {**digest_of(body), "kinds": seen["kinds"]}
    assert seen["kinds"][-1] == "http.request"


@pytest.mark.parametrize("size", [0, 1, BODY_WINDOW, len(BIG)])
def test_a_chunked_body_arrives_whole(dechunking_server: LiveWsgiServer, size: int) -> None:
    """P4."""
    body = BIG[:size]
    exchange = dechunking_server.client.open("POST", "/upload", [OCTETS], has_body=True)
    for start in range(0, size, 50_000):
        exchange.send(body[start : start + 50_000])
    exchange.end()

    assert digest_of(body).items() <= exchange.read().json().items()


def test_a_chunked_body_is_a_411_on_servers_that_do_not_decode_it(
    wsgi_server: LiveWsgiServer,
) -> None:
    if wsgi_server.can.dechunks:
        pytest.skip("this server decodes chunked bodies")
    exchange = wsgi_server.client.open("POST", "/upload", [OCTETS], has_body=True)

    response = exchange.read()  # does not wait for the body
    assert response.status == 411
    assert b"Content-Length" in response.body


def test_space_around_a_content_length_is_ignored(wsgi_server: LiveWsgiServer) -> None:
    fields = b"content-length: \t5 \t\r\nconnection: close"
    request = b"POST /upload HTTP/1.1\r\nhost: x\r\n" + fields + b"\r\n\r\nhello"

    (response,) = split_responses(exchange_raw(wsgi_server.port, request), ["POST"])

    assert (response.status, response.json()["length"]) == (200, 5)


BROKEN_CHUNKS = {
    "size": b"ZZ\r\nhello\r\n0\r\n\r\n",
    "second size": b"5\r\nhello\r\nZZ\r\nhello\r\n0\r\n\r\n",
    "end": b"5\r\nhelloXX3\r\nabc\r\n0\r\n\r\n",
}


def send_broken_chunk(live_server: LiveWsgiServer, path: str, broken: str) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    return exchange_raw(live_server.port, head.encode() + BROKEN_CHUNKS[broken])


@pytest.mark.parametrize("name", ["gunicorn-sync", "gunicorn-gthread", "waitress"])
@pytest.mark.parametrize("path", ["/upload", "/upload/any"])
@pytest.mark.parametrize("broken", BROKEN_CHUNKS)
def test_a_broken_chunk_is_a_400_and_at_most_one_line_in_the_log(
    wsgi_servers: WsgiServers, name: str, broken: str, path: str
) -> None:
    """The answer and the line are gunicorn's own, as for a native app. waitress logs nothing.

    Not on granian, whose ``wsgi.input`` ends there as if the body were complete, nor on the
    development servers: wsgiref decodes no chunks, and Werkzeug's reports an ``OSError``, as for a
    disconnect.
    """
    live_server = wsgi_servers.get(name)
    data = send_broken_chunk(live_server, path, broken)

    assert data.startswith(b"HTTP/1.1 400 "), data
    assert data.count(b"HTTP/1.1 ") == 1
    assert live_server.client.fetch("GET", "/").status == 200
    lines = live_server.log().splitlines()
    assert len(lines) == (name != "waitress"), lines
    assert "Traceback" not in live_server.log()


@pytest.mark.parametrize("broken", BROKEN_CHUNKS)
def test_a_broken_chunk_after_the_beginning_of_the_response_is_a_line_in_the_log(
    gthread_server: LiveWsgiServer, broken: str
) -> None:
    """The app ends its response at the disconnect. gunicorn returns a part of a body once it has
    64 KiB of it.
    """
    good = b"%x\r\n%b\r\n" % (BODY_WINDOW, b"a" * BODY_WINDOW)
    exchange = gthread_server.client.open("POST", "/duplex", [("transfer-encoding", "chunked")])
    exchange.send(good)
    assert exchange.chunk()[:1] == b"A"
    exchange.send(BROKEN_CHUNKS[broken])

    while exchange.chunk():
        pass
    (line,) = gthread_server.log(wait_for="reading wsgi.input raised").splitlines()
    assert "reading wsgi.input raised" in line


def test_the_app_starts_before_the_body_ends(
    wsgi_server: LiveWsgiServer, control: Control, key: str
) -> None:
    """P2, P4."""
    if not wsgi_server.can.streams_bodies:
        pytest.skip("this server buffers bodies before it calls the app")
    first, second = b"a" * wsgi_server.can.read_size, b"b" * 10
    length = ("content-length", str(len(first + second)))
    exchange = wsgi_server.client.open(
        "POST", f"/upload?key={key}", [OCTETS, length], has_body=True
    )
    exchange.send(first)
    (report,) = control.expect(key, "first")
    exchange.send(second)

    assert report["size"] <= len(first)
    assert digest_of(first + second).items() <= exchange.read().json().items()


@pytest.mark.parametrize("arrived", [0, 1, 100_000])
def test_a_truncated_body_is_not_a_clean_end(
    wsgi_server: LiveWsgiServer, control: Control, key: str, arrived: int
) -> None:
    """P4: the app receives ``http.disconnect``, unless the server never calls it."""
    length = ("content-length", str(arrived + 10))
    exchange = wsgi_server.client.open(
        "POST", f"/upload?key={key}", [OCTETS, length], has_body=True
    )
    exchange.send(b"x" * arrived)
    exchange.disconnect()

    assert wsgi_server.client.fetch("GET", "/").status == 200
    if wsgi_server.can.streams_bodies:
        (read,) = control.expect(key, "read")
        assert read["kinds"][-1] == "http.disconnect"
    else:
        assert control.reports(key, "read") == [], "the app must not be called"
    assert "AppProtocolError" not in wsgi_server.log()


def test_an_unread_body_does_not_break_the_connection(wsgi_server: LiveWsgiServer) -> None:
    response = wsgi_server.client.fetch("POST", "/unread", [OCTETS], b"x" * 1000)

    assert (response.status, response.body) == (413, b"too large")
    assert wsgi_server.client.fetch("GET", "/").status == 200


def test_a_response_can_start_before_the_body_ends(
    dechunking_server: LiveWsgiServer,
) -> None:
    exchange = dechunking_server.client.open("POST", "/duplex", [OCTETS], has_body=True)
    exchange.send(b"one ")
    exchange.send(b"two")
    exchange.end()

    assert exchange.read().body == b"ONE TWO"


@pytest.mark.parametrize("connection", ["close", "close, upgrade"])
def test_an_upgrade_that_is_not_a_handshake_is_ignored(
    wsgi_server: LiveWsgiServer, connection: str
) -> None:
    """On another method, or without ``Connection: upgrade`` (RFC 9110, 7.8)."""
    method = "PUT" if "upgrade" in connection else "GET"
    fields = [("connection", connection), ("upgrade", "websocket")]

    response = wsgi_server.client.fetch(method, "/echo", fields, b"" if method == "PUT" else None)

    assert response.status == 200
    assert response.json()["scope"]["method"] == method
