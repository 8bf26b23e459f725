"""Twisted's web server: it decodes chunked bodies, and its environ does not say so."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.harness.http import Http1Client
from tests.harness.ports import HOST
from tests.harness.servers import Address, Server, ServerSpec, serve
from tests.servers.to_wsgi.conftest import TARGET

SIZES = [0, 5, 300_000]  # the last one is in a file: Twisted buffers 100 kB in memory


def _command(at: Address, target: str) -> list[str]:
    where = f"--listen=tcp:{at.port}:interface={HOST}"
    return ["twisted", "web", f"--wsgi={target.replace(':', '.')}", where]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve(ServerSpec("twisted", "wsgi", _command), TARGET) as running:
        yield running


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_arrives_whole(server: Server, chunked: bool, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    headers = [] if chunked else [("content-length", str(size))]
    with closing(Http1Client(server.port)) as client:
        exchange = client.open("POST", "/upload", headers, has_body=True)
        for start in range(0, size, 7000):
            exchange.send(body[start : start + 7000])
        exchange.end()
        received = exchange.read().json()

    assert received["length"] == size
    assert received["sha256"] == hashlib.sha256(body).hexdigest()
