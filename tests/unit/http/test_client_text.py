"""Texts of clients, as logs, messages and terminals show them."""

from __future__ import annotations

import copy
import logging
import pickle
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge._http.client_text import LONGEST, ClientText, literal, one_line

DANGEROUS = [
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA0)),
    *"\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff",
    "\ud800",
]
"""C0, DEL and C1 controls, separators of lines, bidirectional controls, and a lone surrogate."""


@pytest.mark.parametrize("character", DANGEROUS, ids=lambda each: f"U+{ord(each):04X}")
def test_no_control_character_is_shown(character: str) -> None:
    for shown in (
        str(ClientText(f"/a{character}b")),
        literal(f"/a{character}b"),
        literal([(f"/a{character}b", 1)]),
        one_line(f"/a{character}b"),
    ):
        assert character not in shown
        assert shown.isprintable()
        assert repr(character)[1:-1] in shown


def test_no_category_of_characters_that_is_not_visible_is_shown() -> None:
    hidden = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    everything = map(chr, range(sys.maxunicode + 1))
    shown = (c for c in everything if str(ClientText(f"/{c}")) == f"/{c}")

    assert {unicodedata.category(each) for each in shown}.isdisjoint(hidden)


@pytest.mark.parametrize(
    "text", ["/", "/shop/1", "/café/日本", "GET", "x-y", "a.example:80", "/%0A"]
)
def test_an_ordinary_text_is_shown_as_it_is(text: str) -> None:
    assert str(ClientText(text)) == text
    assert f"{ClientText(text)}" == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "''"),
        ("/a b", "'/a b'"),
        ("/: all 40 threads are busy", "'/: all 40 threads are busy'"),
        ("/it's", '"/it\'s"'),
        ('/"a"', "'/\"a\"'"),
        ("/a\\nb", "'/a\\\\nb'"),
        ("/a\nb", "'/a\\nb'"),
        (b"x-\xe9", "x-\xe9"),
        (b"x-\x1b", "'x-\\x1b'"),
    ],
)
def test_a_text_that_could_be_mistaken_for_the_message_is_quoted(
    text: str | bytes, shown: str
) -> None:
    assert str(ClientText(text)) == shown


@given(st.text(max_size=50), st.text(max_size=50))
def test_two_texts_are_never_shown_alike(one: str, other: str) -> None:
    assert (str(ClientText(one)) == str(ClientText(other))) == (one == other)


@pytest.mark.parametrize("text", ["a" * 100_000, "\n" * 100_000, b"\x1b" * 100_000])
def test_a_long_text_is_cut(text: str | bytes) -> None:
    for shown in (str(ClientText(text)), literal(text)):
        assert len(shown) < 5 * LONGEST
        assert shown.endswith("... (100000 characters)")


def test_a_long_text_is_not_kept() -> None:
    """A handler may keep the record of a log call, with its arguments."""
    assert len(pickle.dumps(ClientText("a" * 100_000))) < 2 * LONGEST
    assert str(copy.copy(ClientText("a" * 300))) == str(ClientText("a" * 300))


def test_a_nested_value_is_cut_at_each_level() -> None:
    long = {"headers": [("a" * 1000, "b" * 1000)] * 1000, "body": b"c" * 1000}

    assert len(literal(long)) < 5000
    assert (
        literal({"type": "http.request", "body": b"c"}) == "{'body': b'c', 'type': 'http.request'}"
    )


def test_what_a_class_returns_is_escaped() -> None:
    class Forging:
        def __repr__(self) -> str:
            return "<app\n2026-11-29 CRITICAL forged>"

    assert literal(Forging()) == "<app\\n2026-11-29 CRITICAL forged>"


class Counting(ClientText):
    formatted = 0

    def __str__(self) -> str:
        Counting.formatted += 1
        return super().__str__()


@pytest.mark.parametrize(("level", "is_logged"), [("ERROR", False), ("WARNING", True)])
def test_nothing_is_formatted_where_nothing_is_logged(level: str, is_logged: bool) -> None:
    logger = logging.getLogger("bridge.test_client_text")
    logger.setLevel(level)
    Counting.formatted = 0

    logger.warning("503 for %s", Counting("/"))

    assert (Counting.formatted > 0) is is_logged
