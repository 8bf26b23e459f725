"""What one builder keeps from request to request, and what it must not."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.environ import PROTOTYPES, EnvironBuilder
from tests.harness.asgi import http_scope

ADDRESSES: list[dict[str, Any]] = [
    {"server": ("a.example", 80), "scheme": "http", "http_version": "1.1"},
    {"server": ("b.example", 80), "scheme": "http", "http_version": "1.1"},
    {"server": ("a.example", 80), "scheme": "https", "http_version": "1.1"},
    {"server": ("a.example", 80), "scheme": "http", "http_version": "2"},
    {"server": ["a.example", 81], "scheme": "http", "http_version": "1.1"},
]


def seen(builder: EnvironBuilder, address: dict[str, Any]) -> tuple[Any, ...]:
    environ = builder.build(http_scope(**address))
    keys = ("SERVER_NAME", "SERVER_PORT", "wsgi.url_scheme", "SERVER_PROTOCOL")
    return (*(environ[key] for key in keys), "HTTPS" in environ)


def test_requests_to_several_addresses_are_told_apart() -> None:
    builder = EnvironBuilder()
    for _ in range(2):  # made, and then found
        assert [seen(builder, address) for address in ADDRESSES] == [
            ("a.example", "80", "http", "HTTP/1.1", False),
            ("b.example", "80", "http", "HTTP/1.1", False),
            ("a.example", "80", "https", "HTTP/1.1", True),
            ("a.example", "80", "http", "HTTP/2", False),
            ("a.example", "81", "http", "HTTP/1.1", False),
        ]


def test_what_an_app_does_to_its_environ_does_not_reach_the_next_one() -> None:
    builder = EnvironBuilder()
    first = builder.build(http_scope())
    pristine = dict(first)
    first.update(SERVER_NAME="changed", REMOTE_USER="eve")
    del first["wsgi.version"]

    second = builder.build(http_scope())

    del pristine["asgi.scope"], second["asgi.scope"]  # each has its own
    assert second == pristine


def test_no_number_of_addresses_fills_the_memory() -> None:
    builder = EnvironBuilder()
    for port in range(3 * PROTOTYPES):
        environ = builder.build(http_scope(server=("127.0.0.1", port + 1)))
        assert environ["SERVER_PORT"] == str(port + 1)
    assert len(builder._prototypes) == PROTOTYPES


@pytest.mark.parametrize("names", [1, 2, 40])
def test_a_name_is_the_same_header_the_first_time_and_later(names: int) -> None:
    builder = EnvironBuilder()
    headers = [(b"x-h%d" % number, b"%d" % number) for number in range(names)]
    expected = {f"HTTP_X_H{number}": str(number) for number in range(names)}
    for _ in range(2):
        environ = builder.build(http_scope(headers=headers))
        assert {key: environ[key] for key in environ if key.startswith("HTTP_X")} == expected
