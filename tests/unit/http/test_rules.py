"""Content-Length, header names and header values."""

from __future__ import annotations

import pytest

from bridge._http.rules import (
    BadRequest,
    has_control_character,
    is_token,
    left_after,
    parse_length,
    request_length,
    too_short,
)
from bridge.errors import AppProtocolError


@pytest.mark.parametrize(
    ("value", "length"),
    [
        ("0", 0),
        ("12", 12),
        (b"12", 12),
        ("012", 12),
        ("9223372036854775808", 2**63),
        (b"9" * 19, 10**19 - 1),
    ],
)
def test_a_decimal_number_is_a_length(value: str | bytes, length: int) -> None:
    assert parse_length(value) == length


@pytest.mark.parametrize(
    "value",
    [
        "",
        b"",
        "+1",
        "-1",
        b"-0",
        " 1",
        "1 ",
        b"1\t",
        "1\n",
        "1,1",
        "1.0",
        "1e3",
        "1_0",
        "0x10",
        "\u0661",  # ARABIC-INDIC DIGIT ONE: int() accepts it
        "\uff11",  # FULLWIDTH DIGIT ONE
        "\xb2",  # SUPERSCRIPT TWO: isdigit() accepts it
        b"\xb2",
        "9" * 20,
        b"0" * 20,
    ],
)
def test_anything_else_is_not_a_length(value: str | bytes) -> None:
    assert parse_length(value) is None


@pytest.mark.parametrize("value", ["5", " 5", "5\t", "\t 5 \t", "05 "])
def test_the_length_of_a_request_may_have_space_around_it(value: str) -> None:
    assert request_length(value) == 5


@pytest.mark.parametrize("value", ["", " ", "5 5", "5\n", "\x0b5", "\xa05", "-5", "5,5"])
def test_another_length_of_a_request_is_a_bad_request(value: str) -> None:
    with pytest.raises(BadRequest, match="is not a number of bytes"):
        request_length(value)


@pytest.mark.parametrize(("size", "left", "rest"), [(0, 0, 0), (3, 10, 7), (10, 10, 0)])
def test_a_body_reduces_its_content_length(size: int, left: int, rest: int) -> None:
    assert left_after(size, left) == rest


@pytest.mark.parametrize(("size", "left"), [(11, 10), (1, 0)])
def test_a_body_longer_than_its_content_length_is_an_error(size: int, left: int) -> None:
    with pytest.raises(AppProtocolError, match=f"got {size} bytes where {left} were left"):
        left_after(size, left)


def test_a_body_shorter_than_its_content_length_is_an_error() -> None:
    error = too_short(3)

    assert isinstance(error, AppProtocolError)
    assert "3 bytes are missing" in str(error)


@pytest.mark.parametrize("name", ["a", "Content-Type", "x_1", "!#$%&'*+-.^_`|~09azAZ"])
def test_a_token_is_a_header_name(name: str) -> None:
    assert is_token(name)


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\n", "\ta", 'a"', "(a)", "caf\xe9", "a\0"])
def test_other_text_is_not_a_header_name(name: str) -> None:
    assert not is_token(name)


@pytest.mark.parametrize("code", [*range(9), *range(10, 32), 127])
@pytest.mark.parametrize("value", ["{}", "a{}b", "{}a", "a{}"])
def test_a_control_character_is_found_anywhere_in_a_value(code: int, value: str) -> None:
    assert has_control_character(value.format(chr(code)))


@pytest.mark.parametrize("value", ["", "a b", "a\tb", "caf\xe9", "\x80\x85\x9f\xa0\xad", "\u20ac"])
def test_tabs_and_bytes_above_127_are_no_control_characters(value: str) -> None:
    """RFC 9110, 5.5: field-vchar = VCHAR / obs-text, and obs-text is %x80-FF."""
    assert not has_control_character(value)
