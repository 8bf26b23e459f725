"""Prefixes, root paths, encodings of paths, and request targets."""

from __future__ import annotations

import pytest

from bridge._http.paths import below, native, normal_root, path_of_target, quoted, shown


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


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("http://a.example", "/"),
        ("http://a.example/", "/"),
        ("HTTPS://a.example:8443/p/q", "/p/q"),
        ("http://user@a.example//p", "//p"),
        ("*", ""),
    ],
)
def test_the_path_of_a_uri_and_of_the_whole_server(target: str, path: str) -> None:
    assert path_of_target(target) == path


@pytest.mark.parametrize("target", ["", "/", "/p", "/*", "/http://a.example/p", "://p", "p"])
def test_a_path_is_its_own_target(target: str) -> None:
    assert path_of_target(target) == target
