"""cheroot, CherryPy's server: WebSockets, and pages on the same threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from websockets.sync.client import connect

from tests.harness.control import Control
from tests.harness.http import Http1Client
from tests.harness.ports import HOST
from tests.harness.servers import Address, Server, ServerSpec, serve

TIMEOUT_S = 30.0
THREADS = 2


def _command(at: Address, target: str) -> list[str]:
    return ["cheroot", target, "--bind", f"{HOST}:{at.port}", "--threads", str(THREADS)]


@pytest.fixture(scope="module")
def server(control: Control) -> Iterator[Server]:
    with serve(ServerSpec("cheroot", "wsgi", _command), "tests.apps.asgi_websockets:app") as live:
        yield live


def test_open_websockets_take_no_thread(server: Server, control: Control, key: str) -> None:
    url = f"ws://{HOST}:{server.port}/echo?key={key}"
    with ExitStack() as stack:
        clients = [
            stack.enter_context(connect(url, open_timeout=TIMEOUT_S)) for _ in range(THREADS + 1)
        ]
        for message in ("", "caf\xe9", b"", b"x" * 200_000):
            for client in clients:
                client.send(message)
                assert client.recv(TIMEOUT_S) == message
        with closing(Http1Client(server.port)) as pages:
            assert pages.fetch("GET", "/").body.startswith(b"page")
        for client in clients:
            client.close(3001, "enough")

    ends = control.expect(key, "end", len(clients))
    assert [(end["code"], end["reason"]) for end in ends] == [(3001, "enough")] * len(clients)
