"""Prefixes: which ones are valid, and which one matches a path."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge._http.paths import normal_root
from bridge._http.prefixes import PrefixTable, normal_prefix
from bridge.errors import ConfigError

MOUNTED = ["", "/api", "/api/v1", "/app", "/a/b/c"]


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("/", ""),
        ("/api", "/api"),
        ("/api/", "/api"),
        ("/a/b/", "/a/b"),
        ("/café", "/café"),
        ("/\u200d", "/\u200d"),
    ],
)
def test_a_slash_at_the_end_is_ignored(text: str, normal: str) -> None:
    assert normal_prefix(text) == normal


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("api", "begins with a slash"),
        ("", "begins with a slash"),
        (None, "begins with a slash"),
        (b"/api", "begins with a slash"),
        ("/a//b", "may be empty"),
        ("//", "may be empty"),
        ("/a/../b", "'..'"),
        ("/a/.", "'.'"),
        ("/caf%C3%A9", "decoded"),
        ("/a?b", "query"),
        ("/a#b", "fragment"),
        ("/api/*", "patterns are not supported"),
        ("/{user}", "patterns are not supported"),
        ("/<user>", "patterns are not supported"),
        ("/caf\ufffd", "not UTF-8"),
        ("/b\udce9", "not UTF-8"),
    ],
)
def test_an_invalid_prefix_is_an_error_that_names_the_reason(text: object, reason: str) -> None:
    with pytest.raises(ConfigError) as refused:
        normal_prefix(text)

    assert f"prefix={text!r}" in str(refused.value)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("path", "prefix"),
    [
        ("/", ""),
        ("", ""),
        ("*", ""),
        ("/api", "/api"),
        ("/api/", "/api"),
        ("/api/x", "/api"),
        ("/apiary", ""),
        ("/api/v1", "/api/v1"),
        ("/api/v12", "/api"),
        ("/api/v1/x/y/z", "/api/v1"),
        ("/app", "/app"),
        ("/apple", ""),
        ("/a/b", ""),
        ("/a/b/c", "/a/b/c"),
        ("/a/b/c/d", "/a/b/c"),
        ("//api", ""),
        ("/api//v1", "/api"),
    ],
)
def test_the_longest_prefix_that_ends_at_a_segment_is_found(path: str, prefix: str) -> None:
    assert PrefixTable({each: each for each in MOUNTED}).find(path) == prefix


def test_without_a_root_a_path_may_match_nothing() -> None:
    table = PrefixTable({"/api": 1})

    assert [table.find(path) for path in ("/", "/apis", "/api/x")] == [None, None, 1]


segments = st.lists(st.sampled_from(["a", "b", "ab", ""]), max_size=5)


@given(st.sets(st.sampled_from(["/a", "/a/b", "/b", "/ab", "/a/b/a", "/b/b"])), segments)
def test_the_found_prefix_is_the_longest_match(prefixes: set[str], parts: list[str]) -> None:
    path = "/" + "/".join(parts)
    matching = [each for each in prefixes if path == each or path.startswith(each + "/")]

    found = PrefixTable({each: each for each in prefixes}).find(path)

    assert found == max(matching, key=len, default=None)


@pytest.mark.parametrize(
    ("root_path", "normal"), [("", ""), ("/", ""), ("/app/", "/app"), ("app", "/app")]
)
def test_a_root_path_of_any_server_is_normalized(root_path: str, normal: str) -> None:
    assert normal_root(root_path) == normal
