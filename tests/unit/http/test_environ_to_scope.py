"""environ -> scope (ASGI HTTP spec 2.5), with the environs of real servers."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge._http.environ_to_scope import body_length, build_scope, is_websocket
from bridge._http.rules import BadRequest, LengthRequired
from bridge._http.scope_to_environ import EnvironBuilder
from bridge.types import Environ, RawHeaders, Scope
from tests.harness.asgi import check_headers, http_scope
from tests.harness.wsgi import environ_of


def scope_of(**keys: Any) -> Scope:
    return build_scope(environ_of(**keys), {})


def headers_of(**keys: Any) -> RawHeaders:
    headers: RawHeaders = scope_of(**keys)["headers"]
    return headers


def test_a_scope_has_every_key_of_the_spec() -> None:
    environ = environ_of("POST", "/a", query="b=c", body=b"xyz", CONTENT_TYPE="text/plain")

    scope = build_scope(environ, {"pool": 1})

    assert {key: scope[key] for key in scope if key not in ("headers", "extensions")} == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/a",
        "raw_path": b"/a",
        "query_string": b"b=c",
        "root_path": "",
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
        "state": {"pool": 1},
        "wsgi_environ": environ,
    }
    assert sorted(scope["headers"]) == [
        (b"content-length", b"3"),
        (b"content-type", b"text/plain"),
        (b"host", b"testserver"),
    ]


def test_scopes_share_no_mutable_values() -> None:
    state = {"pool": 1}
    first, second = build_scope(environ_of(), state), build_scope(environ_of(), state)

    first["state"]["mine"] = first["extensions"]["mine"] = first["asgi"]["mine"] = True

    assert state == {"pool": 1} == second["state"]
    assert "mine" not in second["extensions"]
    assert "mine" not in second["asgi"]


# -- headers ---------------------------------------------------------------------------------------


def test_header_names_are_lower_case_bytes_and_values_latin_1() -> None:
    headers = headers_of(headers=(("X-Name", "caf\xe9"), ("Accept-Language", "de")))

    check_headers(headers)
    assert (b"x-name", b"caf\xe9") in headers
    assert (b"accept-language", b"de") in headers


def test_empty_content_keys_are_dropped_and_empty_headers_are_kept() -> None:
    headers = headers_of(CONTENT_TYPE="", CONTENT_LENGTH="", HTTP_X_EMPTY="")

    assert headers == [(b"host", b"testserver"), (b"x-empty", b"")]


def test_a_content_header_is_not_duplicated() -> None:
    keys = {"CONTENT_TYPE": "a/b", "HTTP_CONTENT_TYPE": "c/d", "HTTP_CONTENT_LENGTH": "5"}

    headers = headers_of(**keys)

    assert headers == [(b"host", b"testserver"), (b"content-type", b"a/b")]


def test_other_environ_keys_are_not_headers() -> None:
    headers = headers_of(REMOTE_USER="root", HTTPS="on", HTTP="x", SSL_CLIENT_S_DN="CN=x")

    assert headers == [(b"host", b"testserver")]


# -- the path --------------------------------------------------------------------------------------


def test_path_is_decoded_as_utf_8_and_includes_root_path() -> None:
    path = "/caf\xe9".encode().decode("latin-1")

    scope = scope_of(path=path, SCRIPT_NAME=path)

    assert scope["path"] == "/caf\xe9/caf\xe9"
    assert scope["root_path"] == "/caf\xe9"
    assert scope["raw_path"] == b"/caf%C3%A9/caf%C3%A9"


def test_invalid_utf_8_becomes_replacement_characters_and_is_kept_in_raw_path() -> None:
    scope = scope_of(path="/\xff")

    assert scope["path"] == "/\ufffd"
    assert scope["raw_path"] == b"/%FF"


@pytest.mark.parametrize("key", ["RAW_URI", "REQUEST_URI"])
@pytest.mark.parametrize(
    ("uri", "path", "raw_path"),
    [
        ("/a%2Fb?q=1", "/a/b", b"/a%2Fb"),
        ("/plain?x", "/plain", b"/plain"),
        ("/%7euser", "/~user", b"/%7euser"),
        ("http://host:80/a%20b?q", "/a b", b"/a%20b"),
        ("http://host", "/", b"/"),
        ("*", "*", b"*"),
    ],
)
def test_raw_path_is_the_path_as_the_client_sent_it(
    key: str, uri: str, path: str, raw_path: bytes
) -> None:
    assert scope_of(path=path, **{key: uri})["raw_path"] == raw_path


@pytest.mark.parametrize("uri", ["/elsewhere", "/a%2Fb", "nonsense", "/%"])
def test_a_path_changed_by_middleware_takes_precedence_over_the_uri(uri: str) -> None:
    assert scope_of(path="/mounted here", RAW_URI=uri)["raw_path"] == b"/mounted%20here"


@pytest.mark.parametrize("keys", [{}, {"RAW_URI": ""}, {"RAW_URI": "http://host"}])
def test_an_empty_path_is_the_root(keys: dict[str, Any]) -> None:
    """Middleware may remove the last segment, and a server may pass CGI's empty path."""
    scope = scope_of(path="", **keys)

    assert (scope["path"], scope["raw_path"]) == ("/", b"/")


@pytest.mark.parametrize("script_name", ["", "/app", "/"])
@pytest.mark.parametrize("keys", [{}, {"RAW_URI": "*"}])
def test_the_asterisk_of_options_is_a_path(script_name: str, keys: dict[str, Any]) -> None:
    scope = scope_of(method="OPTIONS", path="*", SCRIPT_NAME=script_name, **keys)

    assert (scope["path"], scope["raw_path"]) == ("*", b"*")


@pytest.mark.parametrize("path", ["p", "http://a.example/p", "://a.example/p", "**", "\xff"])
@pytest.mark.parametrize("script_name", ["", "/app"])
def test_a_request_target_that_is_not_a_path_is_refused(path: str, script_name: str) -> None:
    with pytest.raises(BadRequest, match="has to begin with a slash"):
        scope_of(path=path, SCRIPT_NAME=script_name)


@pytest.mark.parametrize(
    ("script_name", "path_info", "root_path", "path"),
    [
        ("/app", "/p", "/app", "/app/p"),
        ("/app/", "/p", "/app", "/app/p"),
        ("app", "/p", "/app", "/app/p"),
        ("/", "/p", "", "/p"),
        ("/", "", "", "/"),
        ("/app", "", "/app", "/app"),
        ("/app/", "", "/app", "/app"),
    ],
)
def test_script_name_becomes_a_normal_root_path(
    script_name: str, path_info: str, root_path: str, path: str
) -> None:
    scope = scope_of(path=path_info, SCRIPT_NAME=script_name)

    assert (scope["root_path"], scope["path"]) == (root_path, path)
    assert scope["raw_path"] == path.encode()


@given(st.binary(max_size=40))
def test_raw_path_always_decodes_to_the_path(raw: bytes) -> None:
    scope = scope_of(path="/" + raw.decode("latin-1"))

    assert unquote_to_bytes(scope["raw_path"]) == b"/" + raw


# -- peers and versions ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "version"),
    [
        ("HTTP/1.1", "1.1"),
        ("HTTP/1.0", "1.0"),
        ("HTTP/2.0", "2"),
        ("HTTP/2", "2"),
        ("HTTP/3", "3"),
        ("INCLUDED", "1.1"),
    ],
)
def test_the_http_version_has_the_form_of_the_asgi_spec(protocol: str, version: str) -> None:
    assert scope_of(SERVER_PROTOCOL=protocol)["http_version"] == version


@pytest.mark.parametrize(
    ("keys", "client"),
    [
        ({"REMOTE_ADDR": "10.0.0.1", "REMOTE_PORT": "99"}, ("10.0.0.1", 99)),
        ({"REMOTE_ADDR": "10.0.0.1", "REMOTE_PORT": 99}, ("10.0.0.1", 99)),  # werkzeug
        ({"REMOTE_ADDR": "10.0.0.1", "REMOTE_PORT": "None"}, ("10.0.0.1", 0)),  # waitress
        ({"REMOTE_ADDR": "10.0.0.1", "REMOTE_PORT": ""}, ("10.0.0.1", 0)),
        ({"REMOTE_ADDR": "", "REMOTE_PORT": ""}, None),
    ],
)
def test_the_client_is_an_address_and_a_port(
    keys: dict[str, Any], client: tuple[str, int] | None
) -> None:
    assert scope_of(**keys)["client"] == client


def test_the_server_of_a_unix_socket_is_its_path(tmp_path: Any) -> None:
    path = str(tmp_path / "app.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)

        gunicorn = scope_of(REMOTE_ADDR="", **{"gunicorn.socket": listener})
        no_host = scope_of(REMOTE_ADDR="", SERVER_NAME=path, SERVER_PORT="")

    assert gunicorn["server"] == no_host["server"] == (path, None)
    assert gunicorn["client"] is None


def test_early_hints_are_offered_if_the_server_supports_them() -> None:
    assert "http.response.early_hint" not in scope_of()["extensions"]
    offered = scope_of(**{"wsgi.early_hints": lambda headers: None})["extensions"]
    assert "http.response.early_hint" in offered


# -- the body --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "length"),
    [
        ({}, 0),
        ({"CONTENT_LENGTH": ""}, 0),
        ({"CONTENT_LENGTH": "0"}, 0),
        ({"CONTENT_LENGTH": "12"}, 12),
        ({"wsgi.input_terminated": True}, 0),
        ({"wsgi.input_terminated": True, "CONTENT_LENGTH": "12"}, 12),
        ({"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}, None),
        ({"wsgi.input_terminated": True, "SERVER_PROTOCOL": "HTTP/2.0"}, None),
        ({"SERVER_PROTOCOL": "HTTP/2.0"}, 0),
        # waitress and nginx's uwsgi_pass decode the body and add its length
        ({"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": "12"}, 12),
    ],
)
def test_the_body_length_is_known(keys: dict[str, Any], length: int | None) -> None:
    assert body_length(environ_of(**keys)) == length


def test_a_chunked_body_that_the_server_does_not_decode_requires_a_length() -> None:
    with pytest.raises(LengthRequired, match="Send a Content-Length"):
        body_length(environ_of(HTTP_TRANSFER_ENCODING="chunked"))


@pytest.mark.parametrize("length", ["5 ", "\t5", " \t 5 \t"])
def test_space_around_a_content_length_is_not_part_of_it(length: str) -> None:
    """RFC 9110, 5.5. wsgiref passes on what follows the value."""
    environ = environ_of(CONTENT_LENGTH=length)
    assert body_length(environ) == 5
    assert (b"content-length", b"5") in build_scope(environ, {})["headers"]


@pytest.mark.parametrize(
    "length", ["-1", "+1", "1_0", "x", "\u0661", "9" * 20, "5 5", "5\x0b", " "]
)
def test_an_invalid_content_length_is_refused(length: str) -> None:
    with pytest.raises(BadRequest, match="not a number of bytes"):
        body_length(environ_of(CONTENT_LENGTH=length))


HANDSHAKE = {"HTTP_UPGRADE": "websocket", "HTTP_CONNECTION": "Upgrade"}


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"HTTP_UPGRADE": "WebSocket"},
        {"HTTP_UPGRADE": " websocket\t"},
        {"HTTP_CONNECTION": "upgrade"},
        {"HTTP_CONNECTION": "keep-alive,\tUpgrade"},
    ],
)
def test_a_websocket_handshake_is_recognised(keys: dict[str, str]) -> None:
    assert is_websocket(environ_of(keys={**HANDSHAKE, **keys}))


@pytest.mark.parametrize(
    "keys",
    [
        {"HTTP_UPGRADE": "h2c"},
        {"HTTP_UPGRADE": ""},
        {"HTTP_CONNECTION": ""},
        {"HTTP_CONNECTION": "close"},
        {"HTTP_CONNECTION": "keep-alive, upgraded"},
        {"REQUEST_METHOD": "PUT"},
        {"REQUEST_METHOD": "POST"},
        {"SERVER_PROTOCOL": "HTTP/1.0"},
    ],
)
def test_an_upgrade_that_is_not_a_handshake_is_ignored(keys: dict[str, str]) -> None:
    """RFC 9110, 7.8; RFC 6455, 4.1."""
    assert not is_websocket(environ_of(keys={**HANDSHAKE, **keys}))


# -- round trips: scope -> environ -> scope --------------------------------------------------------


def environ_from(scope: Scope) -> Environ:
    return EnvironBuilder().build(scope)


def test_a_scope_survives_the_round_trip_through_an_environ() -> None:
    before = http_scope(
        "POST",
        "/m/caf\xe9 b",
        raw_path=b"/m/caf%C3%A9%20b",
        root_path="/m",
        query=b"q=%20",
        headers=(
            (b"cookie", b"a=1"),
            (b"accept", b"x/y"),
            (b"cookie", b"b=2"),
            (b"accept", b"*/*"),
        ),
        session={"user": 7},
        extensions={"tls": {"server_cert": None, "client_cert_chain": ()}, "mine": {}},
    )

    after = build_scope(environ_from(before), {})

    for key in ("method", "path", "raw_path", "root_path", "query_string", "client", "server"):
        assert after[key] == before[key], key
    assert after["headers"] == before["headers"]
    assert after["session"] is before["session"]
    assert after["extensions"] == {**before["extensions"], "http.response.pathsend": {}}


def test_extensions_of_the_server_do_not_survive_the_round_trip() -> None:
    names = ("http.response.push", "http.response.zerocopysend", "websocket.http.response")
    before = http_scope(extensions={name: {} for name in names})

    assert set(build_scope(environ_from(before), {})["extensions"]) == {"http.response.pathsend"}


def test_a_header_changed_in_the_environ_is_changed_in_the_scope() -> None:
    before = http_scope(headers=((b"x-a", b"1"), (b"x-a", b"2"), (b"x-b", b"3")))
    environ = environ_from(before)
    environ["HTTP_X_A"] = "9"
    del environ["HTTP_X_B"]
    environ["HTTP_X_C"] = "4"

    headers = build_scope(environ, {})["headers"]

    assert headers == [(b"host", b"testserver"), (b"x-a", b"9"), (b"x-c", b"4")]


def test_a_dropped_header_does_not_reappear() -> None:
    before = http_scope(headers=((b"x_remote_user", b"root"),))

    assert build_scope(environ_from(before), {})["headers"] == [(b"host", b"testserver")]
