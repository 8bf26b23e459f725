"""scope -> environ: what a builder caches between requests, and what it must not share."""

from __future__ import annotations

from typing import Any

import pytest

from bridge._http.rules import BadRequest
from bridge._http.scope_to_environ import ADDRESSES as ADDRESSES_KEPT
from bridge._http.scope_to_environ import EnvironBuilder
from tests.harness.asgi import http_scope

ADDRESSES: list[dict[str, Any]] = [
    {"server": ("a.example", 80), "scheme": "http", "http_version": "1.1"},
    {"server": ("b.example", 80), "scheme": "http", "http_version": "1.1"},
    {"server": ("a.example", 80), "scheme": "https", "http_version": "1.1"},
    {"server": ("a.example", 80), "scheme": "http", "http_version": "2"},
    {"server": ["a.example", 81], "scheme": "http", "http_version": "1.1"},
]


def address_keys(builder: EnvironBuilder, address: dict[str, Any]) -> tuple[Any, ...]:
    environ = builder.build(http_scope(**address))
    keys = ("SERVER_NAME", "SERVER_PORT", "wsgi.url_scheme", "SERVER_PROTOCOL")
    return (*(environ[key] for key in keys), "HTTPS" in environ)


def test_each_server_address_has_its_own_keys() -> None:
    builder = EnvironBuilder()
    for _ in range(2):  # not cached, then cached
        assert [address_keys(builder, address) for address in ADDRESSES] == [
            ("a.example", "80", "http", "HTTP/1.1", False),
            ("b.example", "80", "http", "HTTP/1.1", False),
            ("a.example", "80", "https", "HTTP/1.1", True),
            ("a.example", "80", "http", "HTTP/2", False),
            ("a.example", "81", "http", "HTTP/1.1", False),
        ]


def test_changes_to_an_environ_do_not_affect_the_next_one() -> None:
    builder = EnvironBuilder()
    first = builder.build(http_scope())
    pristine = dict(first)
    first.update(SERVER_NAME="changed", REMOTE_USER="eve")
    del first["wsgi.version"]

    second = builder.build(http_scope())

    del pristine["asgi.scope"], second["asgi.scope"]  # a new scope for each request
    assert second == pristine


def test_the_cache_of_addresses_is_bounded() -> None:
    builder = EnvironBuilder()
    for port in range(3 * ADDRESSES_KEPT):
        environ = builder.build(http_scope(server=("127.0.0.1", port + 1)))
        assert environ["SERVER_PORT"] == str(port + 1)
        assert len(builder._prototypes) <= ADDRESSES_KEPT


@pytest.mark.parametrize("names", [1, 2, 40])
def test_cached_header_names_give_the_same_keys(names: int) -> None:
    builder = EnvironBuilder()
    headers = [(b"x-h%d" % number, b"%d" % number) for number in range(names)]
    expected = {f"HTTP_X_H{number}": str(number) for number in range(names)}
    for _ in range(2):
        environ = builder.build(http_scope(headers=headers))
        assert {key: environ[key] for key in environ if key.startswith("HTTP_X")} == expected


def test_content_length_with_transfer_encoding_is_refused() -> None:
    headers = [(b"content-length", b"3"), (b"transfer-encoding", b"chunked")]
    with pytest.raises(BadRequest, match="both Content-Length and Transfer-Encoding"):
        EnvironBuilder().build(http_scope("POST", headers=headers))


@pytest.mark.parametrize("value", [b"5 ", b"\t5", b" \t 5 \t"])
def test_space_around_a_content_length_is_not_part_of_it(value: bytes) -> None:
    """RFC 9110, 5.5. uvicorn with httptools passes on what follows the value."""
    headers = [(b"content-length", value)]
    assert EnvironBuilder().build(http_scope("POST", headers=headers))["CONTENT_LENGTH"] == "5"


@pytest.mark.parametrize("value", [b"", b" ", b"5 5", b"5\n", b"5\x0b", b"\xa05"])
def test_other_space_in_a_content_length_is_refused(value: bytes) -> None:
    headers = [(b"content-length", value)]
    with pytest.raises(BadRequest, match="is not a number of bytes"):
        EnvironBuilder().build(http_scope("POST", headers=headers))


def test_values_that_differ_in_the_space_around_them_do_not_conflict() -> None:
    hosts = [(b"host", b" a.example"), (b"host", b"a.example\t")]
    lengths = [(b"content-length", b"5"), (b"content-length", b"5 ")]
    environ = EnvironBuilder().build({**http_scope(), "headers": hosts + lengths})
    assert environ["HTTP_HOST"] == "a.example"
    assert environ["CONTENT_LENGTH"] == "5"


def test_conflicting_host_headers_are_refused() -> None:
    builder = EnvironBuilder()
    twice = [(b"host", b"a.example"), (b"host", b"a.example")]
    assert builder.build({**http_scope(), "headers": twice})["HTTP_HOST"] == "a.example"
    with pytest.raises(BadRequest, match=r"conflicting Host: a\.example, b\.example"):
        builder.build({**http_scope(), "headers": [twice[0], (b"host", b"b.example")]})


def test_only_ascii_letters_of_a_header_name_are_upper_cased() -> None:
    environ = EnvironBuilder().build(http_scope(headers=[(b"x-\xdf", b"1"), (b"x-\xb5", b"2")]))
    assert environ["HTTP_X_\xdf"] == "1"
    assert environ["HTTP_X_\xb5"] == "2"


@pytest.mark.parametrize("server", [("/sock", None), ("/sock", 0), ("/sock", "0")])
@pytest.mark.parametrize("client", [None, ("", 0), ["", 0]])
def test_a_unix_socket_has_no_host_and_no_port(server: Any, client: Any) -> None:
    environ = EnvironBuilder().build(http_scope(server=server, client=client, scheme="https"))
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("localhost", "443")
    assert environ["REMOTE_ADDR"] == ""
    assert "REMOTE_PORT" not in environ


@pytest.mark.parametrize(
    ("path", "root_path", "expected"),
    [
        ("/apple", "/app", ("/app", "/apple")),
        ("/appx://h/p", "/app", ("/app", "/appx://h/p")),
        ("/apphttp://h/p", "/app", ("/app", "/apphttp://h/p")),
        ("/http://h/p", "", ("", "/http://h/p")),
        ("//h/p", "/app", ("/app", "//h/p")),
        ("/app*", "/app", ("/app", "/app*")),
        ("*", "", ("", "*")),
        ("*", "/app/", ("/app", "*")),
    ],
)
def test_nothing_but_the_root_path_is_removed_from_the_path(
    path: str, root_path: str, expected: tuple[str, str]
) -> None:
    environ = EnvironBuilder().build(http_scope("OPTIONS", path=path, root_path=root_path))
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == expected


@pytest.mark.parametrize("path", ["", "p", "http://a.example/p", "https://a.example", "://a/p"])
@pytest.mark.parametrize("root_path", ["", "/", "/app"])
def test_a_request_target_that_is_not_a_path_is_refused(path: str, root_path: str) -> None:
    with pytest.raises(BadRequest, match="has to begin with a slash"):
        EnvironBuilder().build(http_scope(path=path, root_path=root_path))


def test_bytes_that_are_not_utf_8_may_be_in_the_root_path() -> None:
    """A route may mount the app at a part of the path: ``Mount("/{tenant}", app)``."""
    scope = http_scope(
        path="/caf\ufffd/a/\ufffd", raw_path=b"/caf%E9/a%2F%FF", root_path="/caf\ufffd"
    )

    environ = EnvironBuilder().build(scope)

    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/caf\xe9", "/a/\xff")


# -- the TLS extension -----------------------------------------------------------------------------


def tls_keys(**tls: Any) -> dict[str, Any]:
    """The keys that the ASGI TLS extension with these values sets."""
    environ = EnvironBuilder().build(http_scope(extensions={"tls": tls}))
    return {key: environ[key] for key in environ if key.startswith(("SSL_", "HTTPS"))}


@pytest.mark.parametrize(
    ("version", "name"),
    [
        (0x0300, "SSLv3"),
        (0x0301, "TLSv1"),
        (0x0302, "TLSv1.1"),
        (0x0303, "TLSv1.2"),
        (0x0304, "TLSv1.3"),
        (0x0305, "0x0305"),
    ],
)
def test_tls_versions_have_apaches_names(version: int, name: str) -> None:
    assert tls_keys(tls_version=version)["SSL_PROTOCOL"] == name


def test_a_server_may_not_know_the_tls_details() -> None:
    keys = tls_keys(tls_version=None, cipher_suite=None, server_cert=None)
    assert keys == {"HTTPS": "on", "SSL_CLIENT_VERIFY": "NONE"}
    assert tls_keys() == keys


def test_certificates_have_apaches_names() -> None:
    assert tls_keys(
        tls_version=0x0304,
        cipher_suite=0x002F,
        server_cert="server",
        client_cert_chain=("client", "issuer", "root"),
        client_cert_name="CN=heron",
    ) == {
        "HTTPS": "on",
        "SSL_PROTOCOL": "TLSv1.3",
        "SSL_CIPHER": "0x002f",
        "SSL_SERVER_CERT": "server",
        "SSL_CLIENT_VERIFY": "SUCCESS",
        "SSL_CLIENT_CERT": "client",
        "SSL_CLIENT_CERT_CHAIN_0": "issuer",
        "SSL_CLIENT_CERT_CHAIN_1": "root",
        "SSL_CLIENT_S_DN": "CN=heron",
    }


def test_an_error_of_the_client_certificate_is_passed_on() -> None:
    keys = tls_keys(client_cert_chain=["client"], client_cert_error="expired")
    assert keys["SSL_CLIENT_VERIFY"] == "FAILED:expired"
