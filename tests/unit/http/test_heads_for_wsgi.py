"""http.response.start -> status line and headers, and everything that is refused on the way."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import pytest

from bridge._http.response_heads import WsgiHead, head_for_wsgi, status_line
from bridge.errors import AppProtocolError


def head_of(*headers: Any, status: Any = 200) -> WsgiHead:
    return head_for_wsgi({"type": "http.response.start", "status": status, "headers": headers})


@pytest.mark.parametrize(
    ("code", "line"),
    [
        (200, "200 OK"),
        (HTTPStatus.NOT_FOUND, "404 Not Found"),
        (418, "418 I'm a Teapot"),
        (299, "299 Success"),
        (399, "399 Redirection"),
        (499, "499 Client Error"),
        (599, "599 Server Error"),
        (999, "999 Unknown"),
    ],
)
def test_every_status_gets_a_phrase(code: int, line: str) -> None:
    assert status_line(code) == line
    assert head_of(status=code).status == line


@pytest.mark.parametrize("code", [None, "200", 200.0, True, 0, 101, 199, 1000, b"200"])
def test_a_status_that_no_response_can_have_is_refused(code: Any) -> None:
    with pytest.raises(AppProtocolError, match=r"status is .*; the ASGI spec asks for an int"):
        head_of(status=code)


def test_headers_become_native_strings_in_the_order_and_case_given() -> None:
    fields = [(b"X-One", b"caf\xe9"), [b"set-cookie", b"a=1"], (b"set-cookie", b"b=2")]

    head = head_of(*fields)

    assert head.headers == [("X-One", "caf\xe9"), ("set-cookie", "a=1"), ("set-cookie", "b=2")]


def test_a_start_without_headers_has_none() -> None:
    assert head_for_wsgi({"type": "http.response.start", "status": 200}).headers == []


def test_headers_may_come_from_a_generator_and_be_any_kind_of_bytes() -> None:
    pairs = [(bytearray(b"x-a"), memoryview(b"1")), (b"x-b", bytearray(b"2"))]

    head = head_for_wsgi({"type": "x", "status": 200, "headers": (pair for pair in pairs)})

    assert head.headers == [("x-a", "1"), ("x-b", "2")]


@pytest.mark.parametrize("again", range(2))  # the second time its name has been seen before
@pytest.mark.parametrize(
    "name", [b"connection", b"Transfer-Encoding", b"keep-alive", b"UPGRADE", b"te", b"trailer"]
)
def test_hop_by_hop_fields_are_left_out(name: bytes, again: int) -> None:
    assert head_of((name, b"x"), (b"a", b"b")).headers == [("a", "b")]


@pytest.mark.parametrize("again", range(2))
@pytest.mark.parametrize("value", [b"a\r\nx: y", b"a\nb", b"a\rb", b"a\0b"])
def test_a_value_that_would_split_the_response_is_refused(value: bytes, again: int) -> None:
    with pytest.raises(AppProtocolError, match=r"value of header 'x-a' is .*CR, LF and NUL"):
        head_of((b"x-a", value))


@pytest.mark.parametrize("again", range(2))
@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b"a\r\nb", b"caf\xe9", b"a\0"])
def test_a_name_that_is_no_token_is_refused(name: bytes, again: int) -> None:
    with pytest.raises(AppProtocolError, match="RFC 9110 allows letters"):
        head_of((name, b"x"))


@pytest.mark.parametrize(
    "field", [("x-a", "1"), (b"x-a", "1"), ("x-a", b"1"), b"ab", (b"x-a",), None, (b"a", None)]
)
def test_a_field_that_is_no_pair_of_bytes_is_refused(field: Any) -> None:
    with pytest.raises(AppProtocolError, match=r"http\.response\.start: header"):
        head_of(field)


def test_headers_that_cannot_be_iterated_are_refused() -> None:
    with pytest.raises(AppProtocolError, match=r"asks for an iterable of \[name, value\]"):
        head_for_wsgi({"type": "x", "status": 200, "headers": 5})


def test_white_space_around_a_value_is_no_part_of_it() -> None:
    assert head_of((b"x-a", b" \tone two\t ")).headers == [("x-a", "one two")]


def test_the_length_is_known_and_said_once() -> None:
    head = head_of((b"Content-Length", b"12"), (b"content-length", b"12"))

    assert head.content_length == 12
    assert head.headers == [("content-length", "12")]


@pytest.mark.parametrize("length", [b"x", b"-1", b"", b"1,1", b"9" * 20, "\u0661".encode()])
def test_a_length_that_is_no_number_is_refused(length: bytes) -> None:
    with pytest.raises(AppProtocolError, match="is not a number"):
        head_of((b"content-length", length))


def test_two_lengths_that_differ_are_refused() -> None:
    with pytest.raises(AppProtocolError, match="Content-Length is both 1 and 2"):
        head_of((b"content-length", b"1"), (b"content-length", b"2"))


@pytest.mark.parametrize("status", [204, 304])
def test_a_response_that_has_no_body_has_no_length_either(status: int) -> None:
    head = head_of((b"content-length", b"5"), (b"etag", b"x"), status=status)

    assert head.bodyless
    assert head.content_length is None
    assert head.headers == [("etag", "x")]
