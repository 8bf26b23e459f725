"""What a server's process keeps of requests with header names that a client has made up."""

from __future__ import annotations

import uuid

import pytest

from tests.conftest import LiveServer, Servers
from tests.harness.junk import MOST
from tests.harness.memory import Held, held_at_rest

REQUESTS = 100
ARRANGEMENTS = {
    "uvicorn-httptools": ("tests.apps.echoing:app", 100_000),
    "uvicorn-h11": ("tests.apps.echoing:app", 50_000),
    "hypercorn": ("tests.apps.echoing:app", 10_000),
    "waitress": ("tests.apps.echoing:wsgi_app", 100_000),
    "gunicorn-gthread": ("tests.apps.echoing:wsgi_app", 8_000),
}
"""The app, and a length of a name that the server accepts."""


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_little_is_kept_of_long_header_names(name: str, servers: Servers) -> None:
    target, length = ARRANGEMENTS[name]
    site = LiveServer.of(servers.get(name, target))
    marker = f"junk{uuid.uuid4().hex}"

    for number in range(REQUESTS):
        field = (f"x-{marker}{number}{'a' * length}", "1")
        assert site.client.fetch("GET", f"/{number}", [field]).status == 200

    def held(marker: str) -> Held:
        return Held.parse(site.client.fetch("GET", f"/held?{marker}").body.decode())

    kept = held_at_rest(marker, MOST, held)
    assert kept.texts > 0  # the query of the last request
    assert kept.size < MOST
    site.client.close()
