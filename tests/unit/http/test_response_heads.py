"""Response heads in both directions: conversion, and the checks that refuse a head."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge._http.response_heads import (
    WsgiHead,
    early_hints_for_wsgi,
    head_for_asgi,
    head_for_wsgi,
    status_line,
)
from bridge._http.rules import HOP_BY_HOP
from bridge.errors import AppProtocolError

# -- start_response -> http.response.start ---------------------------------------------------------


def test_a_wsgi_head_becomes_a_number_and_lower_case_bytes() -> None:
    head = head_for_asgi("200 OK", [("Content-Type", "text/plain"), ("Set-Cookie", "a=é")])
    assert head.status == 200
    assert head.headers == [(b"content-type", b"text/plain"), (b"set-cookie", b"a=\xe9")]
    assert head.content_length is None
    assert not head.bodyless


def test_the_content_length_of_a_wsgi_app_is_parsed() -> None:
    assert head_for_asgi("200 OK", [("content-LENGTH", "12")]).content_length == 12


def test_a_repeated_content_length_of_a_wsgi_app_is_sent_once() -> None:
    head = head_for_asgi(
        "200 OK", [("Content-Length", "5"), ("ETag", '"x"'), ("content-length", "5")]
    )
    assert head.headers == [(b"content-length", b"5"), (b"etag", b'"x"')]


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_bodyless_response_of_a_wsgi_app_has_no_content_length(status: str) -> None:
    head = head_for_asgi(status, [("Content-Length", "5"), ("ETag", '"x"')])
    assert (head.bodyless, head.content_length) == (True, None)
    assert head.headers == [(b"etag", b'"x"')]


def test_the_reason_phrase_is_optional() -> None:
    assert head_for_asgi("200", []).status == 200
    assert head_for_asgi("299 Whatever It Takes", []).status == 299


@pytest.mark.parametrize(
    "status",
    ["OK", "", "20 OK", "2000 OK", "199 Early", "100 Continue", "200OK", "abc OK", "200 O\rK"],
)
def test_a_status_line_without_a_final_status_code_is_refused(status: str) -> None:
    with pytest.raises(AppProtocolError, match="status"):
        head_for_asgi(status, [])


@pytest.mark.parametrize("status", [200, b"200 OK", None])
def test_a_status_line_must_be_a_str(status: Any) -> None:
    with pytest.raises(AppProtocolError, match="PEP 3333 asks for str"):
        head_for_asgi(status, [])


CONTROL = [chr(code) for code in (*range(9), *range(10, 32), 127)]
"""RFC 9110, 5.5 allows only HTAB of them."""


@pytest.mark.parametrize("again", range(2))  # the second time, the name is cached
@pytest.mark.parametrize("character", CONTROL)
def test_control_characters_in_values_of_a_wsgi_app_are_refused(character: str, again: int) -> None:
    with pytest.raises(AppProtocolError, match=r"value of header 'x-a' is .*control characters"):
        head_for_asgi("200 OK", [("X-A", f"b{character}c")])


@pytest.mark.parametrize("character", ["\t", *CONTROL])
def test_control_characters_in_names_of_a_wsgi_app_are_refused(character: str) -> None:
    with pytest.raises(AppProtocolError, match="header name"):
        head_for_asgi("200 OK", [("x-a" + character, "b")])


@pytest.mark.parametrize("character", CONTROL)
def test_control_characters_in_a_reason_phrase_are_refused(character: str) -> None:
    with pytest.raises(AppProtocolError, match=r"status '200 O.*control characters"):
        head_for_asgi(f"200 O{character}K", [])


def test_a_reason_phrase_may_have_tabs_and_bytes_above_127() -> None:
    assert head_for_asgi("200 \tGanz pr\xe4chtig\x85", []).status == 200


def test_a_tab_in_a_value_is_allowed() -> None:
    assert head_for_asgi("200 OK", [("x-a", "b\tc")]).headers == [(b"x-a", b"b\tc")]


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP))
def test_hop_by_hop_headers_of_a_wsgi_app_are_refused(name: bytes) -> None:
    with pytest.raises(AppProtocolError, match="hop-by-hop"):
        head_for_asgi("200 OK", [(name.decode().title(), "x")])


@pytest.mark.parametrize("name", ["", "a b", "a:b", "é", "a\u2028"])
def test_a_header_name_of_a_wsgi_app_must_be_a_token(name: str) -> None:
    with pytest.raises(AppProtocolError, match="header name"):
        head_for_asgi("200 OK", [(name, "x")])


def test_a_header_value_must_be_latin_1() -> None:
    with pytest.raises(AppProtocolError, match="latin-1"):
        head_for_asgi("200 OK", [("x-a", "€")])


@pytest.mark.parametrize("headers", [None, {"a": "b"}, (("a", "b"),), [("a",)], [None], ["ab"]])
def test_headers_of_a_wsgi_app_must_be_a_list_of_pairs(headers: Any) -> None:
    with pytest.raises(AppProtocolError, match="PEP 3333"):
        head_for_asgi("200 OK", headers)


@pytest.mark.parametrize(("name", "value"), [(b"a", "b"), ("a", b"b"), ("a", 1), (1, "b")])
def test_header_names_and_values_of_a_wsgi_app_must_be_str(name: Any, value: Any) -> None:
    with pytest.raises(AppProtocolError, match="PEP 3333 asks for str"):
        head_for_asgi("200 OK", [(name, value)])


@pytest.mark.parametrize("value", ["", "-1", "1.0", "x", "²", "9" * 5000])
def test_an_invalid_content_length_of_a_wsgi_app_is_refused(value: str) -> None:
    with pytest.raises(AppProtocolError, match="Content-Length"):
        head_for_asgi("200 OK", [("Content-Length", value)])


def test_conflicting_content_lengths_of_a_wsgi_app_are_refused() -> None:
    assert head_for_asgi("200 OK", [("Content-Length", "1")] * 2).content_length == 1
    with pytest.raises(AppProtocolError, match="both 1 and 2"):
        head_for_asgi("200 OK", [("Content-Length", "1"), ("Content-Length", "2")])


@given(st.text(max_size=20), st.text(max_size=20))
def test_no_accepted_header_can_split_a_response(name: str, value: str) -> None:
    try:
        head = head_for_asgi("200 OK", [(name, value)])
    except AppProtocolError:
        return
    for raw_name, raw_value in head.headers:
        assert raw_name == name.lower().encode("ascii")
        assert raw_value == value.strip(" \t").encode("latin-1")
        assert not (set(range(32)) - {9} | {127}) & (set(raw_name) | set(raw_value))
        assert not set(b": ") & set(raw_name)


# -- http.response.start -> start_response ---------------------------------------------------------


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
def test_every_status_code_gets_a_reason_phrase(code: int, line: str) -> None:
    assert status_line(code) == line
    assert head_of(status=code).status == line


@pytest.mark.parametrize("code", [None, "200", 200.0, True, 0, 101, 199, 1000, b"200"])
def test_a_status_must_be_a_final_status_code(code: Any) -> None:
    with pytest.raises(AppProtocolError, match=r"status is .*; the ASGI spec asks for an int"):
        head_of(status=code)


def test_headers_of_an_asgi_app_keep_their_order_and_case() -> None:
    fields = [(b"X-One", b"caf\xe9"), [b"set-cookie", b"a=1"], (b"set-cookie", b"b=2")]

    head = head_of(*fields)

    assert head.headers == [("X-One", "caf\xe9"), ("set-cookie", "a=1"), ("set-cookie", "b=2")]


def test_headers_are_optional() -> None:
    assert head_for_wsgi({"type": "http.response.start", "status": 200}).headers == []


def test_headers_may_be_any_iterable_of_any_bytes_type() -> None:
    pairs = [(bytearray(b"x-a"), memoryview(b"1")), (b"x-b", bytearray(b"2"))]

    head = head_for_wsgi({"type": "x", "status": 200, "headers": (pair for pair in pairs)})

    assert head.headers == [("x-a", "1"), ("x-b", "2")]


@pytest.mark.parametrize("again", range(2))  # the second time, the name is cached
@pytest.mark.parametrize(
    "name", [b"connection", b"Transfer-Encoding", b"keep-alive", b"UPGRADE", b"te", b"trailer"]
)
def test_hop_by_hop_headers_of_an_asgi_app_are_dropped(name: bytes, again: int) -> None:
    assert head_of((name, b"x"), (b"a", b"b")).headers == [("a", "b")]


@pytest.mark.parametrize("again", range(2))
@pytest.mark.parametrize("value", ["a\r\nx: y", *(f"a{character}b" for character in CONTROL)])
def test_control_characters_in_headers_of_an_asgi_app_are_refused(value: str, again: int) -> None:
    with pytest.raises(AppProtocolError, match=r"value of header 'x-a' is .*control characters"):
        head_of((b"x-a", value.encode()))


def test_a_tab_and_bytes_above_127_in_a_header_of_an_asgi_app_are_allowed() -> None:
    assert head_of((b"x-a", b"b\tc\x80\xff")).headers == [("x-a", "b\tc\x80\xff")]


@pytest.mark.parametrize("character", CONTROL)
def test_control_characters_in_early_hints_are_refused(character: str) -> None:
    link = f"</a.css>; {character}rel=preload".encode()
    with pytest.raises(AppProtocolError, match=r"value of header 'link' is .*control characters"):
        early_hints_for_wsgi({"type": "http.response.early_hint", "links": [link]})


@pytest.mark.parametrize("again", range(2))
@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b"a\r\nb", b"caf\xe9", b"a\0"])
def test_a_header_name_of_an_asgi_app_must_be_a_token(name: bytes, again: int) -> None:
    with pytest.raises(AppProtocolError, match="RFC 9110 allows letters"):
        head_of((name, b"x"))


@pytest.mark.parametrize(
    "field", [("x-a", "1"), (b"x-a", "1"), ("x-a", b"1"), b"ab", (b"x-a",), None, (b"a", None)]
)
def test_a_header_of_an_asgi_app_must_be_a_pair_of_bytes(field: Any) -> None:
    with pytest.raises(AppProtocolError, match=r"http\.response\.start: (a )?header"):
        head_of(field)


def test_headers_of_an_asgi_app_must_be_iterable() -> None:
    with pytest.raises(AppProtocolError, match=r"asks for an iterable of \[name, value\]"):
        head_for_wsgi({"type": "x", "status": 200, "headers": 5})


def test_whitespace_around_a_value_is_stripped() -> None:
    assert head_of((b"x-a", b" \tone two\t ")).headers == [("x-a", "one two")]


def test_a_repeated_content_length_of_an_asgi_app_is_sent_once() -> None:
    head = head_of((b"Content-Length", b"12"), (b"content-length", b"12"))

    assert head.content_length == 12
    assert head.headers == [("content-length", "12")]


@pytest.mark.parametrize("length", [b"x", b"-1", b"", b"1,1", b"9" * 20, "\u0661".encode()])
def test_an_invalid_content_length_of_an_asgi_app_is_refused(length: bytes) -> None:
    with pytest.raises(AppProtocolError, match="is not a number"):
        head_of((b"content-length", length))


def test_conflicting_content_lengths_of_an_asgi_app_are_refused() -> None:
    with pytest.raises(AppProtocolError, match="Content-Length is both 1 and 2"):
        head_of((b"content-length", b"1"), (b"content-length", b"2"))


@pytest.mark.parametrize("status", [204, 304])
def test_a_bodyless_response_of_an_asgi_app_has_no_content_length(status: int) -> None:
    head = head_of((b"content-length", b"5"), (b"etag", b"x"), status=status)

    assert head.bodyless
    assert head.content_length is None
    assert head.headers == [("etag", "x")]
