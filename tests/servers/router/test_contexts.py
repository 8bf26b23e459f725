"""Context variables on WSGI servers: no request sees those of an earlier one on its thread."""

from __future__ import annotations

import pytest

from tests.conftest import LiveServer, Servers

ROUTER = "tests.apps.router_contexts:app"
REQUESTS = 10  # more than the servers have threads
FOUND = {"/": b"-", "/streams": b"- streamed", "/asgi": b"-"}


@pytest.mark.parametrize(
    "name", ["gunicorn-gthread", "gunicorn-sync", "waitress", "granian-wsgi", "uvicorn-h11"]
)
def test_a_request_starts_without_the_variables_of_others(servers: Servers, name: str) -> None:
    """Neither with those of the same app, nor with those of another one in the Router."""
    site = LiveServer.of(servers.get(name, ROUTER))

    found = [(path, site.client.fetch("GET", path).body) for _ in range(REQUESTS) for path in FOUND]

    assert found == [*FOUND.items()] * REQUESTS
    site.client.close()
