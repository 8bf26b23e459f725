"""P3: a client stalls while an app generates 1 GB: the app is at most ``response_window`` ahead of
what the server has accepted, and memory stays flat. Seen at girder #3799, granian #885.
"""

from __future__ import annotations

import time

from tests.conftest import LiveServer
from tests.harness.control import Control

GIGABYTE = 1 << 30
WINDOW = 262144
AHEAD_LIMIT = 12 << 20
"""The window, the server's own buffers and both sockets' (some MiB on this kernel)."""
RSS_LIMIT = 16 << 20


def standing_still(control: Control, key: str) -> int:
    """How many bytes the app has made once it makes no more, though it has far to go."""
    made, last = 0, -1
    while made != last:
        last = made
        time.sleep(0.3)  # a stall has no event; a slow machine can only stop too early
        reports = control.reports(key, "made")
        made = reports[-1]["size"] if reports else 0
    return made


def test_a_stalled_client_holds_the_app(
    waiting_server: LiveServer, control: Control, key: str
) -> None:
    server = waiting_server.server
    waiting_server.client.fetch("GET", f"/large?size={8 << 20}")  # warm: threads, buffers, code
    server.reset_peak_rss()
    before = server.peak_rss_bytes()

    exchange = waiting_server.client.open("GET", f"/large/counted?key={key}&size={GIGABYTE}")
    exchange.head()
    made = standing_still(control, key)

    assert made < AHEAD_LIMIT
    assert server.peak_rss_bytes() - before < RSS_LIMIT
    exchange.disconnect()
    control.expect(key, "closed")


def test_a_gigabyte_leaves_through_a_little_memory(
    waiting_server: LiveServer, control: Control, key: str
) -> None:
    server = waiting_server.server
    waiting_server.client.fetch("GET", f"/large?size={8 << 20}")
    server.reset_peak_rss()
    before = server.peak_rss_bytes()

    exchange = waiting_server.client.open("GET", f"/large?size={GIGABYTE}")
    received = 0
    while data := exchange.chunk():
        received += len(data)

    assert received == GIGABYTE
    assert server.peak_rss_bytes() - before < RSS_LIMIT
