"""P21: the first byte of a sync iterator leaves before the second is made.

Seen at paperless-ngx #5013 and daphne #413: Django under ASGI collects a sync iterator first.
"""

from __future__ import annotations

from tests.conftest import LiveServer
from tests.harness.control import Control


def test_the_first_chunk_arrives_while_the_app_waits_to_make_the_second(
    live_server: LiveServer, control: Control, key: str
) -> None:
    exchange = live_server.client.open("GET", f"/stream?key={key}&count=2")
    control.release(key, "chunk")

    assert exchange.chunk() == b"chunk 0;"
    control.expect_waiting(key, "chunk")  # the app is at the gate before its second chunk
    control.release(key, "chunk")
    assert exchange.read().body == b"chunk 1;"
