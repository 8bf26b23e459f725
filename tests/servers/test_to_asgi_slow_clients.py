"""Slow clients take no thread, on servers with backpressure: of files, and of other responses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import LiveServer, Servers, options
from tests.harness.servers import ASGI_SERVERS

TARGET = "tests.apps.wsgi_downloads:app"
THREADS = 2
SIZE = 1 << 25
"""More than what a server and the sockets of a connection hold."""
UNBOUNDED = ("daphne", "hypercorn-h2")
"""They take the whole file from the app at once, whatever the client reads."""


GENERATED = 12_000_000
"""The size of ``/generated``: more than that, too."""

CONTENT = bytes(range(256)) * (SIZE // 256)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "file.bin"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture(params=[name for name in ASGI_SERVERS if name not in UNBOUNDED])
def downloads(request: pytest.FixtureRequest, servers: Servers, file: Path) -> Iterator[LiveServer]:
    env = {"BRIDGE_TEST_FILE": str(file), **options(threads=THREADS)}
    live_server = LiveServer.of(servers.get(request.param, TARGET, env=env))
    yield live_server
    live_server.client.close()


def test_slow_clients_of_a_generator_take_no_thread(downloads: LiveServer) -> None:
    """The rest of each response is in a spool."""
    wanted = CONTENT[:GENERATED]
    assert downloads.client.fetch("GET", "/generated").body == wanted  # the first goes in step
    clients = [downloads.client.open("GET", "/generated") for _ in range(3 * THREADS)]
    for each in clients:
        assert each.head().status == 200

    downloads.client.fetch("HEAD", "/flask")  # is answered

    clients.pop().disconnect()
    assert all(each.read().body == wanted for each in clients)


@pytest.mark.parametrize(("path", "ranged"), [("/flask", "bytes=1-"), ("/django/download", "")])
def test_slow_clients_of_a_file_take_no_thread(
    downloads: LiveServer, path: str, ranged: str
) -> None:
    """Of a range, because servers that send files themselves do so with whole ones."""
    fields = [("range", ranged)] if ranged else []
    clients = [downloads.client.open("GET", path, fields) for _ in range(3 * THREADS)]
    for each in clients:
        assert each.head().status == (206 if ranged else 200)

    head = downloads.client.fetch("HEAD", "/flask")  # is answered
    assert head.header("content-length") == str(SIZE)

    clients.pop().disconnect()
    wanted = CONTENT[1:] if ranged else CONTENT
    assert all(each.read().body == wanted for each in clients)
