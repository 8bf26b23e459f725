"""Files of WSGI frameworks, on each ASGI server: ranges of a large file, and files that go away."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import LiveServer, Servers
from tests.harness.http import Response
from tests.harness.servers import ASGI_SERVERS

TARGET = "tests.apps.wsgi_downloads:app"
SIZE = 3 << 30
PATTERN = bytes(range(251)) * 40_000
"""The last bytes of the file, and the first; in between are zeros that take no room on the disk."""
PIPED = 300_000
"""How many bytes of the file ``/werkzeug`` sends."""
REQUESTS = 80
TIMEOUT_S = 15.0
FEW_BYTES = 8 << 20
"""A server reads less than that for a short range: the block at the range, and all its sockets."""
FEW_FILES = 5
"""A server with that many more files open has not lost one in each of several requests."""


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "large.bin"
    with path.open("wb") as file:
        file.write(PATTERN)
        file.seek(SIZE - len(PATTERN))
        file.write(PATTERN)
    return path


@pytest.fixture(params=ASGI_SERVERS)
def downloads(
    request: pytest.FixtureRequest, servers: Servers, large_file: Path
) -> Iterator[LiveServer]:
    env = {"BRIDGE_TEST_FILE": str(large_file)}
    live_server = LiveServer.of(servers.get(request.param, TARGET, env=env))
    yield live_server
    live_server.client.close()


def fetch_range(live_server: LiveServer, path: str, wanted: str) -> tuple[Response, int]:
    """The response, and how many bytes the server has read for it, from files and sockets."""
    live_server.client.fetch("GET", path, [("range", "bytes=0-0")])  # warm
    before = bytes_read(live_server)
    response = live_server.client.fetch("GET", path, [("range", f"bytes={wanted}")])
    return response, bytes_read(live_server) - before


def bytes_read(live_server: LiveServer) -> int:
    """What the server has read with all system calls (proc(5), ``rchar``)."""
    return sum(
        int(Path(f"/proc/{pid}/io").read_text().split()[1])
        for pid in live_server.server.serving_pids()
    )


@pytest.mark.parametrize("path", ["/flask", "/bottle"])
@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("0-999", 0, 999),
        ("5-299999", 5, 299_999),
        (f"{SIZE - 1000}-{SIZE - 1}", SIZE - 1000, SIZE - 1),
        (f"{SIZE - 400000}-", SIZE - 400_000, SIZE - 1),
        ("-1000", SIZE - 1000, SIZE - 1),
        (f"{SIZE - 5000}-{SIZE - 4001}", SIZE - 5000, SIZE - 4001),
    ],
)
def test_a_range_of_a_large_file_is_all_that_is_read(
    downloads: LiveServer, path: str, wanted: str, first: int, last: int
) -> None:
    response, count = fetch_range(downloads, path, wanted)

    assert response.status == 206
    assert response.header("content-range") == f"bytes {first}-{last}/{SIZE}"
    assert response.header("content-length") == str(last - first + 1)
    offset = SIZE - len(PATTERN) if first >= len(PATTERN) else 0
    assert response.body == PATTERN[first - offset : last + 1 - offset]
    assert count < FEW_BYTES


def test_an_unchanged_file_is_not_read(downloads: LiveServer) -> None:
    head = downloads.client.fetch("HEAD", "/flask")
    before = bytes_read(downloads)
    response = downloads.client.fetch(
        "GET", "/flask", [("if-none-match", head.header("etag") or "")]
    )

    assert (response.status, response.body) == (304, b"")
    assert bytes_read(downloads) - before < FEW_BYTES


def test_a_range_of_a_changed_file_is_the_whole_file(downloads: LiveServer) -> None:
    fields = [("range", "bytes=0-9"), ("if-range", '"another"')]
    head = downloads.client.fetch("HEAD", "/flask", fields)

    assert head.status == 200
    assert head.header("content-length") == str(SIZE)


def test_a_range_of_what_cannot_seek_is_read_up_to_there(downloads: LiveServer) -> None:
    response = downloads.client.fetch("GET", "/werkzeug", [("range", "bytes=200000-200009")])

    assert response.status == 206
    assert response.body == PATTERN[200_000:200_010]
    whole = downloads.client.fetch("GET", "/werkzeug")
    assert whole.body == PATTERN[:PIPED]


def test_django_ignores_ranges(downloads: LiveServer) -> None:
    """Its ``FileResponse`` has none. Not a GET: daphne would buffer all of the file."""
    before = bytes_read(downloads)
    head = downloads.client.fetch("HEAD", "/django/download", [("range", "bytes=0-9")])

    assert (head.status, head.body) == (200, b"")
    assert head.header("content-length") == str(SIZE)
    assert bytes_read(downloads) - before < FEW_BYTES


@pytest.mark.parametrize("path", ["/deleted", "/django/deleted"])
def test_a_file_that_close_deletes_arrives_whole(
    downloads: LiveServer, tmp_path: Path, path: str
) -> None:
    def fetch(number: int) -> bool:
        file = tmp_path / str(number)
        file.write_bytes(PATTERN[number : number + 100_000])
        response = downloads.client.fetch("GET", f"{path}?path={file}")
        return response.status == 200 and response.body == PATTERN[number : number + 100_000]

    with ThreadPoolExecutor(4) as pool:
        right = sum(pool.map(fetch, range(REQUESTS)))

    assert right == REQUESTS
    deadline = time.monotonic() + TIMEOUT_S
    while left := os.listdir(tmp_path):  # the response may be complete before close() has run
        assert time.monotonic() < deadline, left
        time.sleep(0.01)  # poll with a deadline: nothing outside shows that close() has returned


def test_no_descriptor_is_lost(downloads: LiveServer, tmp_path: Path) -> None:
    def fetch_each() -> None:
        for path in ("/deleted", "/django/deleted"):
            file = tmp_path / "file"
            file.write_bytes(PATTERN[:100_000])
            downloads.client.fetch("GET", f"{path}?path={file}")
        for path in ("/flask", "/bottle", "/werkzeug"):
            downloads.client.fetch("GET", path, [("range", "bytes=5-9")])
            downloads.client.fetch("HEAD", path)
        exchange = downloads.client.open("GET", "/flask", [("range", "bytes=0-50000000")])
        exchange.head()
        exchange.disconnect()

    fetch_each()
    before = downloads.server.open_files()
    for _ in range(10):
        fetch_each()

    assert downloads.server.open_files_at_rest(before + FEW_FILES) <= before + FEW_FILES
