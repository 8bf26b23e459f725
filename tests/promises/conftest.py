"""What the promises are tried on, and which servers cannot keep one whatever the app does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from tests.conftest import LiveServer, Servers, shared_server
from tests.harness.servers import ASGI_SERVERS

CORE = "uvicorn-httptools"

COLLECTS_BODIES = ("daphne",)
"""daphne 4.2 makes a scope only once the whole body is there (``WebRequest.process``), and then
puts all of it into the app's unbounded queue."""

NEVER_WAITS = ("daphne", "hypercorn-h2")
"""Servers whose ``send()`` returns at once, whatever the client reads; a native ASGI app that
generates 1 GB grows them by 1 GB, too. daphne 4.2: ``Request.write()`` buffers without a limit.
hypercorn 0.18 over HTTP/2: ``StreamBuffer.pop`` lifts the pause whenever it takes out less than
16 KiB, and so also when a closed window lets it take nothing."""


def heavy(names: Iterable[str]) -> list[Any]:
    """Parameters for tests that move gigabytes: one server always, the others in the full suite."""
    return [name if name == CORE else pytest.param(name, marks=pytest.mark.full) for name in names]


@pytest.fixture(params=heavy(name for name in ASGI_SERVERS if name not in COLLECTS_BODIES))
def uploading_server(request: pytest.FixtureRequest, servers: Servers) -> Iterator[LiveServer]:
    """Each server that lets an app read a body while it comes."""
    yield from shared_server(servers, request.param)


@pytest.fixture(params=heavy(name for name in ASGI_SERVERS if name not in NEVER_WAITS))
def waiting_server(request: pytest.FixtureRequest, servers: Servers) -> Iterator[LiveServer]:
    """Each server whose ``send()`` waits for a client that does not read."""
    yield from shared_server(servers, request.param)
