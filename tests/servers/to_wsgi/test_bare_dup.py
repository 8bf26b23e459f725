"""A canary: whether gunicorn leaves a connection alone that an app has only duplicated."""

from __future__ import annotations

from contextlib import closing
from importlib.metadata import version

import pytest

from tests.harness.http import Http1Client, Stream
from tests.harness.servers import serve

ENDS_CONNECTIONS_FROM = 26
REQUEST = b"GET /take HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"

pytestmark = pytest.mark.full


def test_gunicorn_ends_a_connection_that_is_only_duplicated() -> None:
    """From 26 on it shuts down the socket, not only its descriptor, before it closes."""
    with (
        serve("gunicorn-gthread", "tests.apps.wsgi_bare_dup:app") as server,
        closing(Stream(server.port)) as stream,
    ):
        stream.send(REQUEST)
        assert stream.until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        if ends_connections():
            assert stream.rest() == b""  # the client is at the end, though a descriptor is open
        else:
            for _ in range(3):
                assert Http1Client(server.port).fetch("GET", "/").status == 200  # it goes on
                stream.send(b"hello")
                assert stream.exactly(5) == b"hello"


def ends_connections() -> bool:
    return int(version("gunicorn").partition(".")[0]) >= ENDS_CONNECTIONS_FROM
