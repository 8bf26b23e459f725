"""Prefixes, root paths, encodings of paths, and request targets."""

from __future__ import annotations

import pytest

from bridge._http.paths import (
    below,
    below_root,
    include_root_path,
    is_path,
    native,
    normal_root,
    quoted,
    shown,
)


@pytest.mark.parametrize(
    ("root", "path", "rest"),
    [
        ("", "", ""),
        ("", "/", "/"),
        ("", "/app", "/app"),
        ("/app", "/app", ""),
        ("/app", "/app/", "/"),
        ("/app", "/app//", "//"),
        ("/app", "/app/a/b", "/a/b"),
        ("/a/b", "/a/b/c", "/c"),
        ("/caf\xc3\xa9", "/caf\xc3\xa9/x", "/x"),
    ],
)
def test_a_path_below_a_prefix_is_the_rest(root: str, path: str, rest: str) -> None:
    assert below(root, path) == rest


@pytest.mark.parametrize(
    ("root", "path"),
    [
        ("/app", "/apple"),
        ("/app", "/app-2/x"),
        ("/app", "/app.html"),
        ("/app", "/ap"),
        ("/app", "/"),
        ("/app", ""),
        ("/app", "/APP/x"),
        ("/app", "/x/app"),
        ("/a/b", "/a/bc"),
        ("", "app"),
        ("", "*"),
    ],
)
def test_a_prefix_ends_only_where_a_segment_ends(root: str, path: str) -> None:
    assert below(root, path) is None


@pytest.mark.parametrize(
    ("root_path", "root"),
    [
        ("", ""),
        ("/", ""),
        ("//", ""),
        ("/app", "/app"),
        ("/app/", "/app"),
        ("/app//", "/app"),
        ("app", "/app"),
        ("app/", "/app"),
        ("/a/b/", "/a/b"),
    ],
)
def test_a_root_path_begins_with_a_slash_and_does_not_end_in_one(root_path: str, root: str) -> None:
    assert normal_root(root_path) == root


def test_messages_show_the_root_as_a_slash() -> None:
    assert shown("") == "/"
    assert shown("/app") == "/app"


@pytest.mark.parametrize(
    ("text", "latin_1"),
    [
        ("/a", "/a"),
        ("/\xe9", "/\xc3\xa9"),
        ("/\u20ac", "/\xe2\x82\xac"),
        ("\ufffd", "\xef\xbf\xbd"),
    ],
)
def test_a_native_string_is_utf_8_decoded_as_latin_1(text: str, latin_1: str) -> None:
    assert native(text) == latin_1


@pytest.mark.parametrize(
    ("path", "encoded"),
    [
        ("/a/b", "/a/b"),
        ("/:@!$&'()*+,;=~-._", "/:@!$&'()*+,;=~-._"),
        ("/a b", "/a%20b"),
        ("/a?b#c", "/a%3Fb%23c"),
        ("/100%", "/100%25"),
        ("/%2F", "/%252F"),
        ("/caf\xe9", "/caf%C3%A9"),
        (b"/\xff", "/%FF"),
        ("/[a]", "/%5Ba%5D"),
    ],
)
def test_a_path_is_percent_encoded(path: str | bytes, encoded: str) -> None:
    assert quoted(path) == encoded


@pytest.mark.parametrize("path", ["/", "/a", "//", "//h/a", "/a://h/b", "/*", "/%2f", "*"])
def test_a_path_begins_with_a_slash_or_is_the_asterisk(path: str) -> None:
    assert is_path(path)


@pytest.mark.parametrize(
    "path",
    ["", "a", "a/b", "*/", "**", "http://a.example/p", "://h/p", "\\a", " /a", "?", "\ufffd"],
)
def test_other_request_targets_are_no_path(path: str) -> None:
    assert not is_path(path)


@pytest.mark.parametrize(
    ("root_path", "path", "rest"),
    [
        ("", "/a", "/a"),
        ("/", "/a", "/a"),
        ("/app", "/app/a", "/a"),
        ("/app/", "/app/a", "/a"),
        ("/app", "/app", ""),
        ("/app", "/app//a", "//a"),
        # The server has removed it.
        ("/app", "/a", "/a"),
        ("/app", "/apple", "/apple"),
        ("/app", "/appx://h/a", "/appx://h/a"),
        ("/app", "/apphttp://h/a", "/apphttp://h/a"),
        ("/app", "/app*", "/app*"),
        ("/app", "*", "*"),
    ],
)
def test_an_app_routes_by_what_follows_the_root_path(root_path: str, path: str, rest: str) -> None:
    assert below_root(root_path, path) == rest


@pytest.mark.parametrize(
    ("path", "raw_path", "whole", "raw_whole"),
    [
        ("/a", b"/a", "/my app/a", b"/my%20app/a"),
        ("/a/b", b"/a%2Fb", "/my app/a/b", b"/my%20app/a%2Fb"),
        ("/a", None, "/my app/a", None),
        ("/my app/a", b"/my%20app/a", "/my app/a", b"/my%20app/a"),
        ("/my apple", b"/my%20apple", "/my app/my apple", b"/my%20app/my%20apple"),
        ("*", b"*", "*", b"*"),
        ("", b"", "", b""),
        ("http://h/a", b"http://h/a", "http://h/a", b"http://h/a"),
    ],
)
def test_a_root_path_is_included_in_paths_only(
    path: str, raw_path: bytes | None, whole: str, raw_whole: bytes | None
) -> None:
    scope = {"root_path": "/my app/", "path": path, "raw_path": raw_path}

    include_root_path(scope)

    assert scope == {"root_path": "/my app", "path": whole, "raw_path": raw_whole}
