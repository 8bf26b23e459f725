"""Responses of a WSGI app on each ASGI server."""

from __future__ import annotations

import hashlib
import json

import pytest

from tests.apps.wsgi_files import file_content
from tests.apps.wsgi_streams import large_body
from tests.conftest import LiveServer
from tests.harness.control import Control
from tests.harness.http import exchange_raw, request_head

LARGE = 20 << 20


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/lazy", 202, b"lazy body"),
        ("/lazy/empty", 202, b""),
        ("/empty-list", 200, b""),
        ("/empty-chunks", 200, b"datamore"),
        ("/write", 200, b"written twice and returned"),
    ],
)
def test_every_kind_of_body_arrives(
    live_server: LiveServer, path: str, status: int, body: bytes
) -> None:
    response = live_server.client.fetch("GET", path)

    assert (response.status, response.body) == (status, body)


@pytest.mark.parametrize("path", ["/empty-list", "/lazy/empty"])
def test_a_response_without_a_body_keeps_its_headers(live_server: LiveServer, path: str) -> None:
    response = live_server.client.fetch("GET", path)

    assert "yes" in (response.header("x-empty"), response.header("x-lazy"))


def test_headers_arrive_in_order_with_repetitions(live_server: LiveServer) -> None:
    response = live_server.client.fetch("GET", "/headers")

    assert response.status == 299
    assert response.header_values("set-cookie") == ["a=1; Path=/", "b=2; Path=/"]
    assert response.header("x-mixed-case") == "Value"
    assert response.header("x-empty") == ""
    assert response.header("x-padded") == "value"
    assert ",".join(response.header_values("vary")).replace(" ", "") == "Accept,Cookie"


def test_non_ascii_header_values_arrive_as_latin_1(http1_server: LiveServer) -> None:
    head = request_head("GET", "/headers", [("connection", "close")], http1_server.port)

    data = exchange_raw(http1_server.port, head)

    assert b": caf\xe9\r\n" in data


@pytest.mark.parametrize("count", [2, 5])
def test_each_chunk_is_sent_before_the_next_is_produced(
    live_server: LiveServer, control: Control, key: str, count: int
) -> None:
    exchange = live_server.client.open("GET", f"/stream?key={key}&count={count}")
    received = b""
    for number in range(count):
        control.expect_waiting(key, "chunk")
        control.release(key, "chunk")
        while not received.endswith(f"chunk {number};".encode()):
            received += exchange.chunk()

    assert exchange.chunk() == b""


def test_written_data_is_sent_before_the_app_continues(
    live_server: LiveServer, control: Control, key: str
) -> None:
    exchange = live_server.client.open("GET", f"/write/gated?key={key}")
    first = exchange.chunk()
    control.release(key, "second")

    assert (first, exchange.read().body) == (b"first", b"second")


@pytest.mark.parametrize("length", ["yes", "no"])
def test_a_large_body_arrives_whole(live_server: LiveServer, length: str) -> None:
    response = live_server.client.fetch("GET", f"/large?size={LARGE}&length={length}")

    expected = hashlib.sha256()
    for data in large_body(LARGE):
        expected.update(data)
    assert hashlib.sha256(response.body).hexdigest() == expected.hexdigest()


def test_head_sends_headers_and_no_body(
    live_server: LiveServer, control: Control, key: str
) -> None:
    response = live_server.client.fetch("HEAD", f"/head?key={key}")

    assert (response.status, response.body) == (200, b"")
    assert response.header("content-length") == "12"
    control.expect(key, "closed")


def test_head_iterates_over_at_most_one_chunk(
    live_server: LiveServer, control: Control, key: str
) -> None:
    live_server.client.fetch("HEAD", f"/head?key={key}")

    control.expect(key, "closed")
    assert len(control.reports(key, "chunk")) <= 1


@pytest.mark.parametrize("path", ["/lazy", "/write", "/headers", "/echo"])
def test_head_sends_no_byte_after_the_headers(http1_server: LiveServer, path: str) -> None:
    head = request_head("HEAD", path, [("connection", "close")], http1_server.port)

    data = exchange_raw(http1_server.port, head)

    assert data.startswith(b"HTTP/1.1 2")
    assert data.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("line", ["204 No Content", "304 Not Modified"])
def test_bodyless_statuses_send_no_body(http1_server: LiveServer, line: str) -> None:
    """Also if the app returns one, which would corrupt the next response on the connection."""
    path = f"/status?body=forbidden&line={line.replace(' ', '+')}"
    head = request_head("GET", path, [("connection", "close")], http1_server.port)

    data = exchange_raw(http1_server.port, head)

    assert data.startswith(f"HTTP/1.1 {line[:3]}".encode())
    assert data.endswith(b"\r\n\r\n")
    assert f"x-status: {line[:3]}".encode() in data.lower()


@pytest.mark.parametrize("status", [200, 201, 299, 302, 400, 404, 418, 500, 503, 599])
def test_the_status_arrives(live_server: LiveServer, status: int) -> None:
    response = live_server.client.fetch("GET", f"/status?line={status}+Some+Reason&body=text")

    assert (response.status, response.body) == (status, b"text")


@pytest.mark.parametrize("path", ["/replace", "/replace/lazy"])
def test_exc_info_replaces_a_head_that_was_not_sent(live_server: LiveServer, path: str) -> None:
    response = live_server.client.fetch("GET", path)

    assert (response.status, response.body) == (503, b"an error page")
    assert response.header("x-replaced") == "yes"
    assert response.header("x-never") is None


@pytest.mark.parametrize("kind", ["memory", "disk", "named"])
def test_a_wrapped_file_arrives_whole(live_server: LiveServer, kind: str) -> None:
    response = live_server.client.fetch("GET", f"/file?kind={kind}")

    assert response.body == file_content()


@pytest.mark.parametrize("kind", ["memory", "disk", "named"])
def test_a_wrapped_file_starts_at_its_position(live_server: LiveServer, kind: str) -> None:
    response = live_server.client.fetch("GET", f"/file?kind={kind}&offset=1000003")

    assert response.body == file_content()[1_000_003:]


@pytest.mark.parametrize("kind", ["memory", "disk", "named"])
def test_a_wrapped_file_ends_at_its_content_length(live_server: LiveServer, kind: str) -> None:
    """A range response, where the file is longer than the Content-Length."""
    response = live_server.client.fetch("GET", f"/file?kind={kind}&offset=100&length=1000001")

    assert response.body == file_content()[100:1_000_101]
    assert response.header("content-length") == "1000001"


def test_head_of_a_wrapped_file_sends_no_body(live_server: LiveServer) -> None:
    response = live_server.client.fetch("HEAD", "/file?kind=disk&length=1000")

    assert (response.status, response.body) == (200, b"")


def test_the_wrapper_closes_the_file(live_server: LiveServer, control: Control, key: str) -> None:
    response = live_server.client.fetch("GET", f"/file/closed?key={key}")

    assert response.body == b"content of a file"
    control.expect(key, "closed")


def test_call_iteration_and_close_share_context_and_thread(
    live_server: LiveServer, control: Control, key: str
) -> None:
    response = live_server.client.fetch("GET", f"/context/streamed?key={key}")

    steps = [json.loads(line) for line in response.body.splitlines()]
    (closed,) = control.expect(key, "closed")
    assert [step["user"] for step in steps] == [key, f"{key}-0", f"{key}-1"]
    assert closed["user"] == f"{key}-2"
    assert {step["thread"] for step in steps} == {closed["thread"]}


def test_wsgi_errors_writes_to_stderr(live_server: LiveServer, key: str) -> None:
    assert live_server.client.fetch("GET", f"/errors-stream?key={key}").status == 200

    line = f"to wsgi.errors: {key}"
    assert live_server.log(wait_for=line).count(line) == 1


def test_every_iterator_is_closed(live_server: LiveServer) -> None:
    """The validator reports an unclosed iterator on stderr."""
    live_server.client.fetch("GET", "/lazy")

    assert "garbage collected without being closed" not in live_server.server.log()
