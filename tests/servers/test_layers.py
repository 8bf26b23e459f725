"""Context variables that layers around an adapter set while it sends the response."""

from __future__ import annotations

import pytest

from tests.conftest import LiveServer, Servers
from tests.harness.servers import ASGI_SERVERS, WSGI_SERVERS


@pytest.mark.parametrize("name", ASGI_SERVERS)
def test_an_app_that_streams_sees_what_send_has_set(servers: Servers, name: str) -> None:
    site = LiveServer.of(servers.get(name, "tests.apps.layers:asgi"))

    bodies = [site.client.fetch("GET", "/").body for _ in range(5)]

    assert bodies == [b"- sent"] * 5
    site.client.close()


@pytest.mark.parametrize("name", WSGI_SERVERS)
def test_a_layer_finds_what_it_has_set_in_start_response(servers: Servers, name: str) -> None:
    site = LiveServer.of(servers.get(name, "tests.apps.layers:wsgi"))

    bodies = [site.client.fetch("GET", "/").body for _ in range(5)]

    assert bodies == [b"12 app started"] * 5
    site.client.close()
