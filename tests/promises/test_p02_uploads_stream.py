"""P2: a 1 GB upload adds less than 16 MB to the server's memory, and the app starts before the body
ends.

Seen at mlflow #22665, uvicorn #371, hypercorn #176.
"""

from __future__ import annotations

import hashlib

from tests.conftest import BUFFERED, LiveServer
from tests.harness.control import Control

GIGABYTE = 1 << 30
PIECE = bytes(range(256)) * 4096  # 1 MiB
LIMIT_BYTES = 16 << 20


def test_the_app_starts_before_the_body_ends(
    uploading_server: LiveServer, control: Control, key: str
) -> None:
    exchange = uploading_server.client.open("POST", f"/upload/watched?key={key}", has_body=True)
    exchange.send(b"x" * BUFFERED)
    control.expect(key, "first")
    control.open(key, "read-on")
    exchange.send(b" and last")
    exchange.end()

    assert exchange.read().json()["length"] == BUFFERED + len(b" and last")


def test_an_upload_of_a_gigabyte_needs_little_memory(
    uploading_server: LiveServer, control: Control, key: str
) -> None:
    server = uploading_server.server
    uploading_server.client.fetch("POST", "/upload", body=PIECE)  # warm-up: threads, buffers, code
    control.open(key, "read-on")
    server.reset_peak_rss()
    before = server.peak_rss_bytes()
    hashed = hashlib.sha256()

    exchange = uploading_server.client.open(
        "POST", f"/upload/watched?key={key}", [("content-length", str(GIGABYTE))], has_body=True
    )
    for _ in range(GIGABYTE // len(PIECE)):
        exchange.send(PIECE)
        hashed.update(PIECE)
    if uploading_server.client.http == "2":
        exchange.end()
    seen = exchange.read().json()

    assert seen == {"length": GIGABYTE, "sha256": hashed.hexdigest()}
    assert server.peak_rss_bytes() - before < LIMIT_BYTES
