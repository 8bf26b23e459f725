"""Requests to a WSGI app on each ASGI server: methods, environ, headers, bodies."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import quote

import pytest

from tests.apps.wsgi_uploads import READERS
from tests.conftest import BUFFERED, LiveServer
from tests.harness.control import Control
from tests.harness.http import Aborted, Fields, Stream, exchange_raw, split_responses

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
BIG = bytes(range(256)) * 81920  # 20 MiB


def environ_of(
    live_server: LiveServer, path: str = "/echo", headers: Fields = ()
) -> dict[str, str]:
    response = live_server.client.fetch("GET", path, headers)
    assert response.status == 200, response
    environ: dict[str, str] = response.json()["environ"]
    return environ


def digest_of(data: bytes) -> dict[str, Any]:
    return {"length": len(data), "sha256": hashlib.sha256(data).hexdigest()}


@pytest.mark.parametrize("method", METHODS)
def test_the_method_reaches_the_app(live_server: LiveServer, method: str) -> None:
    response = live_server.client.fetch(method, "/echo", body=b"" if method == "POST" else None)

    assert response.status == 200
    assert response.json()["environ"]["REQUEST_METHOD"] == method


def test_the_environ_follows_pep_3333(live_server: LiveServer) -> None:
    seen = live_server.client.fetch("GET", "/echo/a%20b?q=1&q=2").json()

    environ = seen["environ"]
    assert environ["SCRIPT_NAME"] == ""
    assert environ["PATH_INFO"] == "/echo/a b"
    assert environ["QUERY_STRING"] == "q=1&q=2"
    assert environ["SERVER_PORT"] == str(live_server.port)
    assert environ["SERVER_NAME"] == "127.0.0.1"
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["REMOTE_PORT"].isdigit()
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["SERVER_PROTOCOL"] == f"HTTP/{live_server.client.http}"
    assert seen["wsgi.version"] == [1, 0]
    assert seen["wsgi.multithread"] is True
    assert seen["wsgi.run_once"] is False
    assert seen["wsgi.input_terminated"] is True
    assert seen["asgi.scope"] == "http"
    assert "wsgi.file_wrapper" in seen["keys"]


def test_raw_uri_keeps_the_encoded_path(live_server: LiveServer) -> None:
    environ = environ_of(live_server, "/echo/a%2Fb/caf%C3%A9?x=%2F")

    assert environ["PATH_INFO"] == "/echo/a/b/caf\xc3\xa9"  # UTF-8 bytes as latin-1
    assert environ["RAW_URI"] == "/echo/a%2Fb/caf%C3%A9?x=%2F"
    assert environ["REQUEST_URI"] == environ["RAW_URI"]
    assert environ["QUERY_STRING"] == "x=%2F"


def test_headers_become_http_keys(live_server: LiveServer) -> None:
    environ = environ_of(
        live_server, headers=[("X-One", "1"), ("content-type", "text/x-y"), ("x-e", "")]
    )

    assert environ["HTTP_X_ONE"] == "1"
    assert environ["HTTP_X_E"] == ""
    assert environ["CONTENT_TYPE"] == "text/x-y"
    assert "HTTP_CONTENT_TYPE" not in environ
    assert environ["HTTP_HOST"] == f"127.0.0.1:{live_server.port}"


def test_cookies_join_with_semicolon_and_other_headers_with_comma(live_server: LiveServer) -> None:
    fields = [("cookie", "a=1"), ("x-list", "1"), ("cookie", "b=2"), ("x-list", "2")]

    environ = environ_of(live_server, headers=fields)

    assert environ["HTTP_COOKIE"] == "a=1; b=2"
    assert environ["HTTP_X_LIST"].replace(" ", "") == "1,2"


def test_header_names_with_underscores_are_dropped(live_server: LiveServer) -> None:
    fields = [("x_forged", "no"), ("x-forged", "yes"), ("remote_user", "root")]

    environ = environ_of(live_server, headers=fields)

    assert environ["HTTP_X_FORGED"] == "yes"
    assert "REMOTE_USER" not in environ
    assert "HTTP_REMOTE_USER" not in environ


def test_no_body_reads_as_empty(live_server: LiveServer) -> None:
    assert live_server.client.fetch("GET", "/upload").json()["length"] == 0


@pytest.mark.parametrize(
    "how",
    sorted(set(READERS) - {"none"}),
)
def test_a_small_body_arrives_by_every_read_method(live_server: LiveServer, how: str) -> None:
    body = b"line one\nline two\r\n\nlast without an end" + bytes(range(256))

    seen = live_server.client.fetch("POST", f"/upload?how={how}", body=body).json()

    assert seen == {**digest_of(body), "pieces": seen["pieces"]}


def test_read_without_a_size_returns_the_body_and_then_empty_bytes(live_server: LiveServer) -> None:
    body = b"x" * 200_000

    seen = live_server.client.fetch("POST", "/upload/unvalidated", body=body).json()

    assert seen == {**digest_of(body), "after": 0}


@pytest.mark.parametrize("how", ["read-64k", "readline"])
def test_a_body_of_twenty_megabytes_arrives(live_server: LiveServer, how: str) -> None:
    seen = live_server.client.fetch("POST", f"/upload?how={how}", body=BIG).json()

    assert seen == {**digest_of(BIG), "pieces": seen["pieces"]}


def test_an_unread_body_does_not_delay_the_response(live_server: LiveServer) -> None:
    response = live_server.client.fetch("POST", "/upload?how=none", body=b"unread")

    assert response.status == 200
    assert response.json()["length"] == 0


def test_a_body_without_content_length_arrives(live_server: LiveServer) -> None:
    exchange = live_server.client.open("POST", "/upload", has_body=True)
    for piece in (b"one\n", b"x" * 100_000, b"three"):
        exchange.send(piece)
    exchange.end()

    body = b"one\n" + b"x" * 100_000 + b"three"
    assert exchange.read().json() == {**digest_of(body), "pieces": pytest.approx(3, abs=10)}


def test_an_empty_body_without_content_length_is_empty(live_server: LiveServer) -> None:
    exchange = live_server.client.open("POST", "/upload", has_body=True)
    exchange.end()

    assert exchange.read().json()["length"] == 0


def test_space_around_a_content_length_is_ignored(http1_server: LiveServer) -> None:
    fields = b"content-length: \t5 \t\r\nexpect: 100-continue \r\nconnection: close"
    request = b"POST /upload HTTP/1.1\r\nhost: x\r\n" + fields + b"\r\n\r\nhello"

    (response,) = split_responses(exchange_raw(http1_server.port, request), ["POST"])

    assert (response.status, response.json()["length"]) == (200, 5)


def test_a_truncated_body_is_not_a_clean_end(
    live_server: LiveServer, control: Control, key: str
) -> None:
    if live_server.name == "daphne":
        check_that_daphne_does_not_call_the_app(live_server, control, key)
        return
    exchange = live_server.client.open(
        "POST", f"/upload/cut?key={key}", [("content-length", "100000")], has_body=True
    )
    exchange.send(b"x" * BUFFERED)
    control.expect(key, "reading")
    exchange.disconnect()

    (ended,) = control.expect(key, "ended")
    assert ended["error"], f"the app read {ended['length']} bytes and a clean end"
    assert "ClientDisconnected" in ended["error"]
    assert "ConnectionError" in ended["error"]


def check_that_daphne_does_not_call_the_app(
    live_server: LiveServer, control: Control, key: str
) -> None:
    """daphne 4.2 collects the whole body before it creates a scope (Twisted calls
    ``WebRequest.process`` when the request is complete), so an app never gets a truncated one.
    """
    exchange = live_server.client.open(
        "POST", f"/upload/cut?key={key}", [("content-length", "1000")], has_body=True
    )
    exchange.send(b"x" * 10)
    exchange.disconnect()
    assert live_server.client.fetch("GET", "/").status == 200
    assert not control.reports(key, "reading")


def test_a_truncated_chunked_body_is_not_a_clean_end(
    live_server: LiveServer, control: Control, key: str
) -> None:
    if live_server.name == "daphne":
        check_that_daphne_does_not_call_the_app(live_server, control, key)
        return
    exchange = live_server.client.open("POST", f"/upload/cut?key={key}", has_body=True)
    exchange.send(b"x" * BUFFERED)
    control.expect(key, "reading")
    exchange.disconnect()

    (ended,) = control.expect(key, "ended")
    assert ended["error"], f"the app read {ended['length']} bytes and a clean end"


GOOD = b"%x\r\n%b" % (BUFFERED, b"x" * BUFFERED)
BROKEN_CHUNKS = {
    "buffered size": [b"5\r\nhello\r\nZZ\r\n\r\n"],
    "size": [b"ZZ\r\nhello\r\n0\r\n\r\n"],
    "later size": [GOOD + b"\r\n", b"ZZ\r\nhello\r\n0\r\n\r\n"],
    "end": [b"5\r\nhelloXX3\r\nabc\r\n0\r\n\r\n"],
    "later end": [GOOD, b"XX3\r\nabc\r\n0\r\n\r\n"],
}


@pytest.mark.parametrize(
    ("how", "broken"),
    [*(("cut", broken) for broken in BROKEN_CHUNKS), ("unread", "size"), ("unread", "end")],
)
def test_a_broken_chunk_is_answered_once_with_400(
    http1_server: LiveServer, control: Control, key: str, broken: str, how: str
) -> None:
    """By the server; by bridge on granian, which reports a disconnect and takes an answer."""
    path = f"/upload/{how}?key={key}" if how == "cut" else f"/hold?key={key}"
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    first, *rest = BROKEN_CHUNKS[broken]
    stream = Stream(http1_server.port)
    stream.send(head + first)
    if rest and how == "cut" and http1_server.name != "daphne":
        control.expect(key, "reading")
    for part in rest:
        stream.send(part)

    data = stream.rest()
    control.open(key, "hold")
    stream.close()

    assert data.startswith(b"HTTP/1.1 400 "), data
    assert data.count(b"HTTP/1.1 ") == 1
    assert http1_server.client.fetch("GET", "/").status == 200
    assert "Traceback" not in http1_server.log()


def test_a_truncated_body_is_not_logged_as_an_error(
    http1_server: LiveServer, control: Control, key: str
) -> None:
    if http1_server.name == "daphne":
        check_that_daphne_does_not_call_the_app(http1_server, control, key)
        return
    exchange = http1_server.client.open("POST", f"/upload/cut?key={key}", has_body=True)
    exchange.send(b"x" * BUFFERED)
    control.expect(key, "reading")
    exchange.disconnect()
    control.expect(key, "ended")

    assert http1_server.client.fetch("GET", "/").status == 200
    assert "Traceback" not in http1_server.log()


def test_requests_share_a_connection(http1_server: LiveServer) -> None:
    exchange = http1_server.client.open("GET", "/echo/first")
    first = exchange.read()
    exchange.send(b"GET /echo/second HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    data = _rest(exchange)

    (second,) = split_responses(data, ["GET"])
    assert first.json()["environ"]["PATH_INFO"] == "/echo/first"
    assert second.json()["environ"]["PATH_INFO"] == "/echo/second"


def _rest(exchange: Any) -> bytes:
    found: bytes = exchange.stream.rest()
    return found


def test_responses_to_pipelined_requests_are_in_order(http1_server: LiveServer) -> None:
    posted = b"POST /upload HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello"
    requests = b"".join(
        [
            b"GET /echo/1 HTTP/1.1\r\nhost: x\r\n\r\n",
            posted,
            b"GET /echo/3 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        ]
    )

    data = exchange_raw(http1_server.port, requests)

    first, second, third = split_responses(data, ["GET", "POST", "GET"])
    assert first.json()["environ"]["PATH_INFO"] == "/echo/1"
    assert second.json()["length"] == 5
    assert third.json()["environ"]["PATH_INFO"] == "/echo/3"


def test_an_unread_body_does_not_become_the_next_request(http1_server: LiveServer) -> None:
    """The server must skip the rest of the body or close the connection."""
    inner = b"GET /echo/smuggled HTTP/1.1\r\nhost: x\r\n\r\n"
    requests = (
        b"POST /upload?how=none HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(inner)
        + inner
        + b"GET /echo/next HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    )

    data = exchange_raw(http1_server.port, requests)

    assert b"smuggled" not in data
    assert data.startswith(b"HTTP/1.1 200")


def test_100_continue_is_sent_when_the_app_reads(http1_server: LiveServer) -> None:
    fields = [("content-length", "5"), ("expect", "100-continue")]
    exchange = http1_server.client.open("POST", "/upload", fields, has_body=True)
    stream: Any = exchange.stream  # type: ignore[attr-defined]  # Http1Exchange has it

    assert stream.until(b"\r\n\r\n").startswith(b"HTTP/1.1 100")
    exchange.send(b"hello")
    assert exchange.read().json()["length"] == 5


def test_the_query_string_arrives_unchanged(live_server: LiveServer) -> None:
    query = "a=%zz&b=" + quote("\u20ac") + "&&=&c=+%2B;d"

    assert environ_of(live_server, f"/echo?{query}")["QUERY_STRING"] == query


def test_an_http_1_0_request_gets_a_response_and_a_close(http1_server: LiveServer) -> None:
    data = exchange_raw(http1_server.port, b"GET /echo HTTP/1.0\r\nhost: x\r\n\r\n")

    head, _, body = data.partition(b"\r\n\r\n")
    assert b" 200" in head.split(b"\r\n")[0]
    assert b"transfer-encoding" not in head.lower()
    # granian 2.8 has "1" in the scope where the ASGI spec has "1.0"
    version = b"HTTP/1" if http1_server.name == "granian" else b"HTTP/1.0"
    assert b'"SERVER_PROTOCOL": "%b' % version in body


def test_a_disconnect_before_the_response_is_not_logged(
    live_server: LiveServer, control: Control, key: str
) -> None:
    exchange = live_server.client.open("GET", f"/hold?key={key}")
    control.expect_waiting(key, "hold")
    exchange.disconnect()
    control.open(key, "hold")

    assert live_server.client.fetch("GET", "/").status == 200
    with pytest.raises((Aborted, OSError)):
        exchange.read()
    assert "Traceback" not in live_server.log()
