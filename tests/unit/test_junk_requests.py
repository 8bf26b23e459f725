"""What requests with texts that a client has made up leave behind, in every arrangement of apps.

A client chooses method, path, query, host, names and values of headers, and here also what servers
derive from them. Whatever is remembered of these from one request to the next is bounded in bytes,
and cannot make later requests of others slower.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import uuid
from collections.abc import Callable
from typing import Any

import pytest

import bridge
from bridge._http.environ_to_scope import build_scope
from bridge._http.response_heads import head_for_asgi, head_for_wsgi
from bridge._http.scope_to_environ import EnvironBuilder
from tests.apps.echoing import echo_asgi, echo_wsgi
from tests.harness.asgi import http_scope
from tests.harness.builds import frees_at_once
from tests.harness.junk import KINDS, MOST, send_junk, send_junk_handshakes, send_junk_to_wsgi
from tests.harness.memory import held_at_rest

PATHS = ("/", "/wsgi/", "/asgi/")
MIXED = {"/wsgi": echo_wsgi, "/asgi": echo_asgi, "/": echo_wsgi}
ASGI_APPS: dict[str, Callable[[], Any]] = {
    "to_asgi": lambda: bridge.to_asgi(echo_wsgi),
    "to_asgi, underscores kept": lambda: bridge.to_asgi(echo_wsgi, underscore_headers="keep"),
    "to_asgi of to_wsgi": lambda: bridge.to_asgi(bridge.to_wsgi(echo_asgi, lifespan="off")),
    "Router": lambda: bridge.Router(MIXED, lifespan="off"),
}
WSGI_APPS: dict[str, Callable[[], Any]] = {
    "to_wsgi": lambda: bridge.to_wsgi(echo_asgi, lifespan="off"),
    "to_wsgi of to_asgi": lambda: bridge.to_wsgi(bridge.to_asgi(echo_wsgi), lifespan="off"),
    "Router": lambda: bridge.Router(MIXED, lifespan="off"),
}


SOCKET_APPS: dict[str, Callable[[], Any]] = {
    "to_asgi": lambda: bridge.to_asgi(echo_wsgi),
    "to_asgi, raw sockets": lambda: bridge.to_asgi(echo_wsgi, websocket_threads=2),
    "Router": lambda: bridge.Router(MIXED, lifespan="off"),
}


@pytest.fixture
def marker() -> str:
    return f"junk{uuid.uuid4().hex}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("arrangement", ASGI_APPS)
def test_little_is_kept_of_junk_on_asgi_servers(arrangement: str, kind: str, marker: str) -> None:
    app = ASGI_APPS[arrangement]()

    statuses = asyncio.run(send_junk(app, marker, kind, PATHS))

    assert set(statuses) == {200}
    assert held_at_rest(marker, MOST).size < MOST


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("arrangement", WSGI_APPS)
@frees_at_once
def test_little_is_kept_of_junk_on_wsgi_servers(arrangement: str, kind: str, marker: str) -> None:
    app = WSGI_APPS[arrangement]()

    statuses = send_junk_to_wsgi(app, marker, kind, PATHS)

    assert set(statuses) == {200}
    assert held_at_rest(marker, MOST).size < MOST


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("arrangement", SOCKET_APPS)
def test_little_is_kept_of_junk_websockets(
    arrangement: str, kind: str, marker: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = SOCKET_APPS[arrangement]()
    with caplog.at_level(logging.CRITICAL, "bridge"):  # pytest keeps what is logged
        types = asyncio.run(send_junk_handshakes(app, marker, kind))

    assert types == {"websocket.close"}
    assert held_at_rest(marker, MOST).size < MOST


# -- later requests --------------------------------------------------------------------------------


def calls_in(function: Callable[[], object]) -> int:
    """How many functions ``function`` calls, at any depth."""
    count = 0

    def profile(frame: object, event: str, _: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(before)
    return count


ORDINARY = ("Accept", "User-Agent", "Cookie", "X-Forwarded-For", "Content-Type")


class Conversions:
    """Everything that is looked up for a request and for its response, in both directions."""

    def __init__(self) -> None:
        self.environs = EnvironBuilder()

    def of(self, *names: str, server: tuple[str, int] = ("site.example", 80)) -> None:
        headers = [(name.lower().encode(), b"v") for name in names]
        environ = self.environs.build(http_scope(headers=headers, server=server))
        del environ["asgi.scope"]  # otherwise the names come from there
        build_scope(environ, {})
        head_for_asgi("200 OK", [(name, "v") for name in names])
        head_for_wsgi({"status": 200, "headers": headers})


def test_requests_with_ordinary_headers_cost_the_same_after_junk(marker: str) -> None:
    conversions = Conversions()
    names = [*ORDINARY, "X-Own-1"]
    conversions.of(*names)
    before = calls_in(lambda: conversions.of(*names))

    for number in range(5000):
        conversions.of(f"x-{marker}{number}", server=(f"{marker}{number}", 80))
    conversions.of(*ORDINARY, "X-Own-2")  # the first request with this name learns it

    assert calls_in(lambda: conversions.of(*ORDINARY, "X-Own-2")) == before


def test_the_first_request_with_registered_names_costs_no_more_than_later_ones() -> None:
    """Not one that comes between two with new names, either."""
    builder = EnvironBuilder()
    names = [b"host", b"accept", b"sec-fetch-mode", b"x-forwarded-proto", b"cf-connecting-ip"]
    scope = {**http_scope(), "headers": [(name, b"v") for name in names]}
    other = http_scope(server=("testserver", 8000))
    builder.build({**other, "headers": []})

    first = calls_in(lambda: builder.build(scope))

    assert calls_in(lambda: builder.build(scope)) == first
