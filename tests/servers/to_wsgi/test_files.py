"""Files that an ASGI app sends by their path, behind each WSGI server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.apps.asgi_files import content_of
from tests.servers.to_wsgi.conftest import LiveWsgiServer

REQUESTS = 80
FEW = 5
"""A server with that many more descriptors open has not lost one in each of many requests."""


@pytest.mark.parametrize("by", ["task", "app"])
def test_a_file_that_the_app_deletes_arrives_whole(
    wsgi_server: LiveWsgiServer, key: str, by: str
) -> None:
    """FastAPI's usual download of a temporary file: a background task deletes it."""

    def fetch(number: int) -> bool:
        name = f"{key}-{number:03}"
        response = wsgi_server.client.fetch("GET", f"/file/deleted?key={name}&by={by}")
        return response.status == 200 and response.body == content_of(name)

    with ThreadPoolExecutor(4) as pool:
        right = sum(pool.map(fetch, range(REQUESTS)))

    assert right == REQUESTS


def test_the_app_sees_that_a_file_is_missing(wsgi_server: LiveWsgiServer) -> None:
    response = wsgi_server.client.fetch("GET", "/file/missing")

    assert response.status == 200
    assert response.body.startswith(b"FileNotFoundError(2")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/file/deleted?key=k&by=app", "/file/missing", "/file?blocks=4"])
def test_no_descriptor_is_lost(wsgi_server: LiveWsgiServer, method: str, path: str) -> None:
    wsgi_server.client.fetch(method, path)
    before = wsgi_server.server.open_files()
    for _ in range(20):
        wsgi_server.client.fetch(method, path)

    assert wsgi_server.server.open_files_at_rest(before + FEW) <= before + FEW


def test_a_disconnect_loses_no_descriptor(wsgi_server: LiveWsgiServer) -> None:
    path = "/file?blocks=320"  # more than the buffers of the sockets
    wsgi_server.client.fetch("GET", path)
    before = wsgi_server.server.open_files()
    for _ in range(20):
        exchange = wsgi_server.client.open("GET", path)
        exchange.head()
        exchange.disconnect()

    assert wsgi_server.server.open_files_at_rest(before + FEW) <= before + FEW
