"""The servers for the promises, and those that cannot keep one regardless of the app."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from tests.conftest import LiveServer, Servers, shared_server
from tests.harness.servers import ASGI_SERVERS

CORE = "uvicorn-httptools"

COLLECTS_BODIES = ("daphne",)
"""daphne 4.2 creates a scope after it has received the whole body (``WebRequest.process``), and
then puts all of it into the app's unbounded queue."""

NEVER_WAITS = ("daphne", "hypercorn-h2")
"""Servers whose ``send()`` returns at once, even if the client does not read. A native ASGI app
that sends 1 GB grows them by 1 GB, too. daphne 4.2: ``Request.write()`` buffers without a limit.
hypercorn 0.18 over HTTP/2: ``StreamBuffer.pop`` ends the pause whenever it removes less than 16
KiB, also when a closed window lets it remove nothing."""


def heavy(names: Iterable[str]) -> list[Any]:
    """Parameters for tests that transfer gigabytes: one server, and all in the full suite."""
    return [name if name == CORE else pytest.param(name, marks=pytest.mark.full) for name in names]


@pytest.fixture(params=heavy(name for name in ASGI_SERVERS if name not in COLLECTS_BODIES))
def uploading_server(request: pytest.FixtureRequest, servers: Servers) -> Iterator[LiveServer]:
    """Each server that lets an app read a body while the client sends it."""
    yield from shared_server(servers, request.param)


@pytest.fixture(params=heavy(name for name in ASGI_SERVERS if name not in NEVER_WAITS))
def waiting_server(request: pytest.FixtureRequest, servers: Servers) -> Iterator[LiveServer]:
    """Each server whose ``send()`` waits for a client that does not read."""
    yield from shared_server(servers, request.param)
