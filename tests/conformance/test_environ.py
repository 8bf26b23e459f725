"""The environ of a scope, checked by ``wsgiref.validate`` and beyond."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from bridge.types import Environ, Scope, StartResponse
from tests.apps import wsgi_conformance
from tests.conformance.conftest import ToAsgi
from tests.harness.asgi import call, http_scope, raw_headers


def echo(to_asgi: ToAsgi, scope: Scope, **options: Any) -> dict[str, Any]:
    """The response of the echo route, which reports the environ."""
    response = call(to_asgi(wsgi_conformance.app, **options), scope)
    assert response.status == 200, response.body
    seen: dict[str, Any] = response.json()
    return seen


def environ_of(to_asgi: ToAsgi, scope: Scope, **options: Any) -> dict[str, str]:
    environ: dict[str, str] = echo(to_asgi, scope, **options)["environ"]
    return environ


def status_of(to_asgi: ToAsgi, scope: Scope, **options: Any) -> int:
    return call(to_asgi(wsgi_conformance.app, **options), scope).status


def test_every_key_required_by_pep_3333_is_present(to_asgi: ToAsgi) -> None:
    seen = echo(to_asgi, http_scope(path="/echo", query=b"a=1"))

    environ = seen["environ"]
    assert environ["REQUEST_METHOD"] == "GET"
    assert environ["SCRIPT_NAME"] == ""
    assert environ["PATH_INFO"] == "/echo"
    assert environ["QUERY_STRING"] == "a=1"
    assert environ["SERVER_NAME"] == "testserver"
    assert environ["SERVER_PORT"] == "8000"  # a str
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert environ["wsgi.url_scheme"] == "http"
    assert {"wsgi.input", "wsgi.errors", "wsgi.file_wrapper"} <= set(seen["keys"])
    assert seen["wsgi.version"] == [1, 0]
    assert seen["wsgi.input_terminated"] is True
    assert seen["asgi.scope"] == "http"


def test_the_environ_contains_the_scope(to_asgi: ToAsgi) -> None:
    scope = http_scope(state={"pool": object()})
    found: list[object] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        found.append(environ["asgi.scope"])
        start_response("200 OK", [])
        return []

    call(to_asgi(app), scope)
    assert found == [scope]


@pytest.mark.parametrize(
    ("root_path", "path", "script_name", "path_info"),
    [
        ("", "/echo", "", "/echo"),
        ("/echo", "/echo/x", "/echo", "/x"),
        ("/echo/", "/echo/x", "/echo", "/x"),
        ("/echo", "/echo", "/echo", ""),
        ("/echo", "/echo/", "/echo", "/"),
        ("/echo", "/echo//x", "/echo", "//x"),
        ("/caf\xe9", "/caf\xe9/x", "/caf\xc3\xa9", "/x"),
        ("/ech", "/echo", "/ech", "/echo"),  # no segment ends there
        ("/app", "/apple", "/app", "/apple"),
        ("/elsewhere", "/echo", "/elsewhere", "/echo"),  # the server has stripped the root path
        ("/", "/echo", "", "/echo"),
    ],
)
def test_root_path_is_stripped_only_where_a_segment_ends(
    to_asgi: ToAsgi, root_path: str, path: str, script_name: str, path_info: str
) -> None:
    found: list[tuple[str, str]] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        found.append((environ["SCRIPT_NAME"], environ["PATH_INFO"]))
        start_response("200 OK", [])
        return []

    call(to_asgi(app), http_scope(path=path, root_path=root_path))
    assert found == [(script_name, path_info)]


def test_path_info_is_utf_8_decoded_as_latin_1(to_asgi: ToAsgi) -> None:
    environ = environ_of(to_asgi, http_scope(path="/echo/\u20ac"))

    assert environ["PATH_INFO"] == "/echo/\u20ac".encode().decode("latin-1")


def test_invalid_utf_8_is_taken_from_raw_path(to_asgi: ToAsgi) -> None:
    """Servers decode %FF as a replacement character; only ``raw_path`` contains the byte."""
    scope = http_scope(path="/echo/\ufffd", raw_path=b"/echo/%FF")

    assert environ_of(to_asgi, scope)["PATH_INFO"] == "/echo/\xff"


def test_raw_uri_preserves_an_encoded_slash(to_asgi: ToAsgi) -> None:
    scope = http_scope(path="/echo/a/b", raw_path=b"/echo/a%2Fb", query=b"q=%2F")

    environ = environ_of(to_asgi, scope)

    assert environ["PATH_INFO"] == "/echo/a/b"
    assert environ["RAW_URI"] == environ["REQUEST_URI"] == "/echo/a%2Fb?q=%2F"


def test_raw_uri_is_built_from_the_path_without_raw_path(to_asgi: ToAsgi) -> None:
    scope = http_scope(path="/echo/caf\xe9 au lait")
    del scope["raw_path"]

    assert environ_of(to_asgi, scope)["RAW_URI"] == "/echo/caf%C3%A9%20au%20lait"


def test_cookie_lines_join_with_semicolon(to_asgi: ToAsgi) -> None:
    headers = raw_headers(("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3"))

    environ = environ_of(to_asgi, http_scope(path="/echo", headers=headers))

    assert environ["HTTP_COOKIE"] == "a=1; b=2; c=3"


def test_other_repeated_headers_join_with_comma(to_asgi: ToAsgi) -> None:
    headers = raw_headers(("x-list", "1"), ("x-list", "2"), ("x-list", "3"))

    environ = environ_of(to_asgi, http_scope(path="/echo", headers=headers))

    assert environ["HTTP_X_LIST"] == "1,2,3"


def test_content_headers_have_no_http_prefix(to_asgi: ToAsgi) -> None:
    headers = raw_headers(("content-type", "text/plain"), ("content-length", "0"))

    environ = environ_of(to_asgi, http_scope("POST", "/echo", headers=headers))

    assert environ["CONTENT_TYPE"] == "text/plain"
    assert environ["CONTENT_LENGTH"] == "0"
    assert not {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"} & set(environ)


def test_header_names_with_underscores_are_dropped(to_asgi: ToAsgi) -> None:
    headers = raw_headers(("x_user", "forged"), ("x-user", "true"), ("content_length", "9"))

    environ = environ_of(to_asgi, http_scope(path="/echo", headers=headers))

    assert environ["HTTP_X_USER"] == "true"
    assert "CONTENT_LENGTH" not in environ


def test_header_names_with_underscores_can_be_refused(to_asgi: ToAsgi) -> None:
    scope = http_scope(path="/echo", headers=raw_headers(("x_user", "forged")))

    assert status_of(to_asgi, scope, underscore_headers="refuse") == 400


def test_header_names_with_underscores_can_be_kept(to_asgi: ToAsgi) -> None:
    scope = http_scope(path="/echo", headers=raw_headers(("x_user", "legacy")))

    environ = environ_of(to_asgi, scope, underscore_headers="keep")

    assert environ["HTTP_X_USER"] == "legacy"


@pytest.mark.parametrize(
    "name", ["remote_user", "remote-user", "REMOTE_USER", "auth-type", "script-name", "https"]
)
def test_no_header_sets_a_key_of_the_server(to_asgi: ToAsgi, name: str) -> None:
    scope = http_scope(path="/echo", headers=raw_headers((name, "root")))

    environ = environ_of(to_asgi, scope)

    assert "root" not in [value for key, value in environ.items() if not key.startswith("HTTP_")]


def test_remote_user_comes_from_an_explicit_source(to_asgi: ToAsgi) -> None:
    environ = environ_of(
        to_asgi,
        http_scope(path="/echo", headers=raw_headers(("remote-user", "root"))),
        trusted_environ=lambda scope: {"REMOTE_USER": "ann"},
    )

    assert environ["REMOTE_USER"] == "ann"


def test_too_many_headers_of_one_name_are_a_400(to_asgi: ToAsgi) -> None:
    scope = http_scope(path="/echo", headers=raw_headers(*[("x-many", "1")] * 101))

    assert status_of(to_asgi, scope) == 400


def test_as_many_headers_as_the_limit_are_accepted(to_asgi: ToAsgi) -> None:
    scope = http_scope(path="/echo", headers=raw_headers(*[("x-many", "1")] * 3))

    environ = environ_of(to_asgi, scope, duplicate_header_limit=3)

    assert environ["HTTP_X_MANY"] == "1,1,1"


def test_without_a_limit_any_number_of_headers_of_one_name_is_accepted(to_asgi: ToAsgi) -> None:
    scope = http_scope(path="/echo", headers=raw_headers(*[("x-many", "1")] * 1000))

    environ = environ_of(to_asgi, scope, duplicate_header_limit=None)

    assert environ["HTTP_X_MANY"] == ",".join("1" * 1000)


@pytest.mark.parametrize(
    "values", [["5", "6"], ["5", "05"], ["-1"], ["+1"], ["1e3"], ["5, 5"], ["\xb2"], [""]]
)
def test_an_ambiguous_content_length_is_a_400(to_asgi: ToAsgi, values: list[str]) -> None:
    headers = raw_headers(*[("content-length", value) for value in values])

    assert status_of(to_asgi, http_scope("POST", "/echo", headers=headers)) == 400


def test_a_repeated_content_length_is_accepted(to_asgi: ToAsgi) -> None:
    headers = raw_headers(("content-length", "0"), ("content-length", "0"))

    environ = environ_of(to_asgi, http_scope("POST", "/echo", headers=headers))

    assert environ["CONTENT_LENGTH"] == "0"


def test_a_refused_request_is_not_logged(to_asgi: ToAsgi, logged: Any) -> None:
    headers = raw_headers(("content-length", "5"), ("content-length", "6"))

    status_of(to_asgi, http_scope("POST", "/echo", headers=headers))

    assert logged() == []


@pytest.mark.parametrize(
    ("server", "scheme", "name", "port"),
    [
        (("example.org", 8080), "http", "example.org", "8080"),
        (("::1", 8080), "http", "::1", "8080"),
        (("/run/app.sock", None), "http", "localhost", "80"),
        (("/run/app.sock", None), "https", "localhost", "443"),
        (None, "http", "localhost", "80"),
        (None, "https", "localhost", "443"),
    ],
)
def test_server_name_and_port_are_never_empty(
    to_asgi: ToAsgi, server: object, scheme: str, name: str, port: str
) -> None:
    environ = environ_of(to_asgi, http_scope(path="/echo", server=server, scheme=scheme))

    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == (name, port)


def test_remote_addr_and_remote_port_are_set(to_asgi: ToAsgi) -> None:
    environ = environ_of(to_asgi, http_scope(path="/echo", client=("203.0.113.7", 4711)))

    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("203.0.113.7", "4711")


def test_a_client_without_an_address_has_no_port(to_asgi: ToAsgi) -> None:
    environ = environ_of(to_asgi, http_scope(path="/echo", client=None))

    assert environ.get("REMOTE_ADDR", "") == ""
    assert "REMOTE_PORT" not in environ


@pytest.mark.parametrize("version", ["1.0", "1.1", "2", "3"])
def test_server_protocol_is_the_protocol_of_the_request(to_asgi: ToAsgi, version: str) -> None:
    environ = environ_of(to_asgi, http_scope(path="/echo", http_version=version))

    assert environ["SERVER_PROTOCOL"] == f"HTTP/{version}"


def test_optional_keys_of_a_scope_can_be_missing(to_asgi: ToAsgi) -> None:
    """All keys that the ASGI spec calls optional."""
    scope = http_scope(path="/echo")
    optional = ("raw_path", "root_path", "client", "server", "extensions", "state", "scheme")
    for name in optional:
        del scope[name]

    environ = environ_of(to_asgi, scope)

    assert environ["PATH_INFO"] == "/echo"
    assert environ["wsgi.url_scheme"] == "http"


def test_https_sets_the_scheme_and_https(to_asgi: ToAsgi) -> None:
    environ = environ_of(to_asgi, http_scope(path="/echo", scheme="https"))

    assert environ["wsgi.url_scheme"] == "https"
    assert environ["HTTPS"] == "on"


def test_environs_are_not_shared_between_requests(to_asgi: ToAsgi) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        seen = b"yes" if "mine" in environ else b"no"
        environ["mine"] = True
        environ.clear()
        start_response("200 OK", [])
        return [seen]

    adapter = to_asgi(app, threads=1)

    assert [call(adapter, http_scope()).body for _ in range(2)] == [b"no", b"no"]
