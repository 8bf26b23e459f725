"""What start_response may be given, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge._http.response_heads import head_for_asgi
from bridge._http.rules import HOP_BY_HOP
from bridge.errors import AppProtocolError


def test_status_and_headers_become_a_number_and_lower_case_bytes() -> None:
    head = head_for_asgi("200 OK", [("Content-Type", "text/plain"), ("Set-Cookie", "a=é")])
    assert head.status == 200
    assert head.headers == [(b"content-type", b"text/plain"), (b"set-cookie", b"a=\xe9")]
    assert head.content_length is None
    assert not head.bodyless


def test_content_length_is_read() -> None:
    assert head_for_asgi("200 OK", [("content-LENGTH", "12")]).content_length == 12


def test_a_content_length_that_is_said_twice_is_sent_once() -> None:
    head = head_for_asgi(
        "200 OK", [("Content-Length", "5"), ("ETag", '"x"'), ("content-length", "5")]
    )
    assert head.headers == [(b"content-length", b"5"), (b"etag", b'"x"')]


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_response_without_body_has_no_content_length(status: str) -> None:
    head = head_for_asgi(status, [("Content-Length", "5"), ("ETag", '"x"')])
    assert (head.bodyless, head.content_length) == (True, None)
    assert head.headers == [(b"etag", b'"x"')]


def test_a_reason_may_be_missing_or_custom() -> None:
    assert head_for_asgi("200", []).status == 200
    assert head_for_asgi("299 Whatever It Takes", []).status == 299


@pytest.mark.parametrize(
    "status",
    ["OK", "", "20 OK", "2000 OK", "199 Early", "100 Continue", "200OK", "abc OK", "200 O\rK"],
)
def test_a_status_without_a_final_number_is_refused(status: str) -> None:
    with pytest.raises(AppProtocolError, match="status"):
        head_for_asgi(status, [])


@pytest.mark.parametrize("status", [200, b"200 OK", None])
def test_a_status_that_is_no_str_is_refused(status: Any) -> None:
    with pytest.raises(AppProtocolError, match="PEP 3333 asks for str"):
        head_for_asgi(status, [])


@pytest.mark.parametrize("character", ["\r", "\n", "\0"])
@pytest.mark.parametrize("where", ["name", "value"])
def test_characters_that_split_a_response_are_refused(character: str, where: str) -> None:
    header = ("x-a" + character, "b") if where == "name" else ("x-a", "b" + character + "c")
    with pytest.raises(AppProtocolError, match="header"):
        head_for_asgi("200 OK", [header])


def test_a_tab_in_a_value_is_allowed() -> None:
    assert head_for_asgi("200 OK", [("x-a", "b\tc")]).headers == [(b"x-a", b"b\tc")]


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP))
def test_hop_by_hop_headers_are_the_servers(name: bytes) -> None:
    with pytest.raises(AppProtocolError, match="hop-by-hop"):
        head_for_asgi("200 OK", [(name.decode().title(), "x")])


@pytest.mark.parametrize("name", ["", "a b", "a:b", "é", "a\u2028"])
def test_a_name_that_is_no_token_is_refused(name: str) -> None:
    with pytest.raises(AppProtocolError, match="header name"):
        head_for_asgi("200 OK", [(name, "x")])


def test_a_value_beyond_latin_1_is_refused() -> None:
    with pytest.raises(AppProtocolError, match="latin-1"):
        head_for_asgi("200 OK", [("x-a", "€")])


@pytest.mark.parametrize("headers", [None, {"a": "b"}, (("a", "b"),), [("a",)], [None], ["ab"]])
def test_headers_of_another_shape_are_refused(headers: Any) -> None:
    with pytest.raises(AppProtocolError, match="PEP 3333"):
        head_for_asgi("200 OK", headers)


@pytest.mark.parametrize(("name", "value"), [(b"a", "b"), ("a", b"b"), ("a", 1), (1, "b")])
def test_names_and_values_are_native_strings(name: Any, value: Any) -> None:
    with pytest.raises(AppProtocolError, match="PEP 3333 asks for str"):
        head_for_asgi("200 OK", [(name, value)])


@pytest.mark.parametrize("value", ["", "-1", "1.0", "x", "²", "9" * 5000])
def test_a_content_length_that_is_no_number_is_refused(value: str) -> None:
    with pytest.raises(AppProtocolError, match="Content-Length"):
        head_for_asgi("200 OK", [("Content-Length", value)])


def test_two_content_lengths_must_agree() -> None:
    assert head_for_asgi("200 OK", [("Content-Length", "1")] * 2).content_length == 1
    with pytest.raises(AppProtocolError, match="both 1 and 2"):
        head_for_asgi("200 OK", [("Content-Length", "1"), ("Content-Length", "2")])


@given(st.text(max_size=20), st.text(max_size=20))
def test_whatever_passes_cannot_split_a_response(name: str, value: str) -> None:
    try:
        head = head_for_asgi("200 OK", [(name, value)])
    except AppProtocolError:
        return
    for raw_name, raw_value in head.headers:
        assert raw_name == name.lower().encode("ascii")
        assert raw_value == value.strip(" \t").encode("latin-1")
        assert not set(b"\r\n\0") & (set(raw_name) | set(raw_value))
        assert not set(b": ") & set(raw_name)
