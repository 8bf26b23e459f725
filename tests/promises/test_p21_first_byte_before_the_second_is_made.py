"""P21: the first chunk of a sync iterator is sent before the second is produced.

Seen at paperless-ngx #5013 and daphne #413: Django under ASGI collects a sync iterator first.
"""

from __future__ import annotations

from tests.conftest import LiveServer
from tests.harness.control import Control


def test_the_first_chunk_arrives_before_the_second_is_produced(
    live_server: LiveServer, control: Control, key: str
) -> None:
    exchange = live_server.client.open("GET", f"/stream?key={key}&count=2")
    control.release(key, "chunk")

    assert exchange.chunk() == b"chunk 0;"
    control.expect_waiting(key, "chunk")  # the app waits before its second chunk
    control.release(key, "chunk")
    assert exchange.read().body == b"chunk 1;"
