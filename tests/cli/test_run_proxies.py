"""`--trusted` and `--proxy-headers`: the same client, scheme and host on every server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import SERVERS, client_of, fetch_from, fetch_unix, running, start
from tests.harness.servers import Server

APPS = ("/=proxied_site:wsgi", "/asgi=proxied_site:asgi")
ALL = "x-forwarded-for,x-forwarded-proto,x-forwarded-host,x-forwarded-port,x-forwarded-prefix"
SPOOFED = (
    ("x-forwarded-for", "6.6.6.6"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "evil.example"),
    ("x-forwarded-port", "1"),
    ("x-forwarded-prefix", "/evil"),
    ("forwarded", "for=6.6.6.6;proto=https;host=evil.example"),
)


@pytest.fixture(params=SERVERS, scope="module")
def server(request: pytest.FixtureRequest) -> str:
    """The name of a server."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def site(server: str) -> Iterator[Server]:
    """A server that trusts this machine, and a network."""
    trusted = ("--trusted", "127.0.0.1,10.0.0.0/8", "--proxy-headers", ALL)
    with running(server, APPS[0], APPS[1], *trusted) as started:
        yield started


@pytest.fixture(params=["/", "/asgi/"])
def path(request: pytest.FixtureRequest) -> str:
    """Where the app is mounted."""
    mounted: str = request.param
    return mounted


def _facts(site: Server, path: str, *headers: tuple[str, str]) -> dict[str, Any]:
    response = client_of(site).fetch("GET", path, [("host", "site.example"), *headers])
    assert response.status == 200, response
    reported: dict[str, Any] = json.loads(response.body)
    return reported


def test_the_app_sees_the_client_of_the_proxies(site: Server, path: str) -> None:
    reported = _facts(
        site,
        path,
        ("x-forwarded-for", "6.6.6.6, 192.0.2.7:4711"),
        ("x-forwarded-for", "10.0.0.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "shop.example"),
        ("x-forwarded-port", "8443"),
        ("x-forwarded-prefix", "/shop/"),
    )
    seen = reported.pop("seen")
    reported.pop("variable", None)
    is_asgi = path == "/asgi/"
    assert reported == {
        "client": "192.0.2.7",
        "client_port": "4711",
        "scheme": "https",
        "host": "shop.example:8443",
        "port": "8443",
        "root": "/shop" + path.rstrip("/"),
        "path": "/shop/asgi/" if is_asgi else "/",
    }
    assert seen == ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"]


def test_an_ipv6_client_and_an_unknown_one(site: Server, path: str) -> None:
    reported = _facts(site, path, ("x-forwarded-for", "[2001:db8::7]"))
    assert (reported["client"], reported["client_port"]) == ("2001:db8::7", "0")
    reported = _facts(site, path, ("x-forwarded-for", "unknown"))
    assert (reported["client"], reported["client_port"]) == ("", None)


def test_without_the_headers_nothing_changes(site: Server, path: str) -> None:
    reported = _facts(site, path)
    assert (reported["client"], reported["scheme"]) == ("127.0.0.1", "http")
    assert (reported["host"], reported["seen"]) == ("site.example", [])


def test_a_peer_that_is_not_trusted_is_not_believed(site: Server, path: str) -> None:
    """Its headers are removed, so that an app that reads them itself does not believe it either."""
    lines = [f"{name}: {value}" for name, value in SPOOFED]
    reported = json.loads(fetch_from("127.0.0.2", site, path, *lines))
    assert (reported["client"], reported["scheme"]) == ("127.0.0.2", "http")
    assert (reported["host"], reported["root"]) == ("site.example", path.rstrip("/"))
    assert reported["seen"] == []


def test_by_default_no_server_believes_anybody(server: str) -> None:
    """Nor does FORWARDED_ALLOW_IPS change that. The app gets the headers, as it does elsewhere."""
    env = {"FORWARDED_ALLOW_IPS": "*"}
    with running(server, APPS[0], APPS[1], env=env) as site:
        for path in ("/", "/asgi/"):
            reported = _facts(site, path, *SPOOFED)
            assert (reported["client"], reported["scheme"]) == ("127.0.0.1", "http")
            assert reported["host"] == "site.example"
            assert len(reported["seen"]) == 4


def test_a_unix_socket_has_clients_only_through_a_trusted_proxy(
    server: str, tmp_path: Path
) -> None:
    with _on_socket(server, tmp_path / "plain.sock") as plain:
        reported = json.loads(fetch_unix(plain, "x-forwarded-for: 6.6.6.6"))
        assert (reported["client"], reported["client_port"]) == ("", None)
        assert reported["scheme"] == "http"
    with _on_socket(server, tmp_path / "trusted.sock", "--trusted", "unix") as trusting:
        lines = "x-forwarded-for: 192.0.2.7", "x-forwarded-proto: https"
        reported = json.loads(fetch_unix(trusting, *lines))
        assert (reported["client"], reported["scheme"]) == ("192.0.2.7", "https")


class _on_socket:
    """``bridge run --uds`` until the end of the block."""

    def __init__(self, server: str, path: Path, *args: str) -> None:
        self._path = path
        self._process = start(APPS[0], "--server", server, "--uds", str(path), *args)

    def __enter__(self) -> Path:
        return self._path

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=30)
