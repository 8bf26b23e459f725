"""P28: only an explicit trusted source sets ``REMOTE_USER``, not a header.

Seen at asgiref #127 and django #21079.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import bridge
from bridge.errors import AppProtocolError
from tests.apps import wsgi_conformance
from tests.conftest import LiveServer
from tests.harness.asgi import call, http_scope, raw_headers

SPOOFS = ["remote-user", "remote_user", "REMOTE_USER", "Remote-User", "http-remote-user"]


@pytest.mark.parametrize("name", SPOOFS)
def test_no_header_sets_remote_user(live_server: LiveServer, name: str) -> None:
    fields = [(name, "root"), ("auth-type", "forged")]

    environ = live_server.client.fetch("GET", "/echo", fields).json()["environ"]

    assert "REMOTE_USER" not in environ
    assert "AUTH_TYPE" not in environ


@pytest.fixture
def pool() -> Iterator[bridge.WorkerPool]:
    with bridge.WorkerPool(1) as pool:
        yield pool


def test_a_trusted_source_sets_remote_user(pool: bridge.WorkerPool) -> None:
    """The source is the state, where an authenticating middleware stored the user."""
    app = bridge.to_asgi(
        wsgi_conformance.app,
        executor=pool,
        trusted_environ=lambda scope: {"REMOTE_USER": scope["state"]["user"]},
    )
    scope = http_scope(
        path="/echo", headers=raw_headers(("remote-user", "root")), state={"user": "ann"}
    )

    assert call(app, scope).json()["environ"]["REMOTE_USER"] == "ann"


def test_a_trusted_value_that_is_not_a_str_is_an_error(pool: bridge.WorkerPool) -> None:
    nobody: Any = {"REMOTE_USER": None}
    app = bridge.to_asgi(wsgi_conformance.app, executor=pool, trusted_environ=lambda scope: nobody)

    with pytest.raises(AppProtocolError, match="REMOTE_USER"):
        call(app, http_scope(path="/echo"))
