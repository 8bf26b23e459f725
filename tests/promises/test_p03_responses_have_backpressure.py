"""P3: a client that stops reading a 1 GB response pauses the app: it is at most ``response_window``
ahead of the server, and what is in its spool on disk; memory does not grow.

Seen at girder #3799, granian #885.
"""

from __future__ import annotations

import time

from tests.conftest import LiveServer
from tests.harness.control import Control
from tests.harness.http import Http1Exchange

GIGABYTE = 1 << 30
WINDOW = 131072
BLOCK = 65536
AHEAD_LIMIT = 12 << 20
"""The window, the server's buffers and the buffers of both sockets (a few MiB on Linux)."""
SPOOL = 16 << 20
"""The most of one response that is on disk."""
RSS_LIMIT = 16 << 20

SERVER_BUFFERS = {"granian": 800_000}
"""How many bytes of a response a server buffers itself, beside the kernel. granian 2.8: 408 kB, and
some messages of at most 64 KiB. The others: 64 KiB, and the message that exceeds them."""
USUAL_BUFFER = 2 * 65536


def wait_until_paused(control: Control, key: str) -> int:
    """The number of bytes that the app has produced when it stops producing."""
    made, last = 0, -1
    while made != last:
        last = made
        time.sleep(0.3)  # a pause has no event; a slow machine can end this too soon
        reports = control.reports(key, "made")
        made = reports[-1]["size"] if reports else 0
    return made


def test_a_stalled_client_pauses_the_app(
    waiting_server: LiveServer, control: Control, key: str
) -> None:
    server = waiting_server.server
    waiting_server.client.fetch("GET", f"/large?size={8 << 20}")  # warm-up: threads, buffers, code
    server.reset_peak_rss()
    before = server.peak_rss_bytes()

    exchange = waiting_server.client.open("GET", f"/large/counted?key={key}&size={GIGABYTE}")
    exchange.head()
    made = wait_until_paused(control, key)

    assert made < AHEAD_LIMIT + SPOOL
    assert server.peak_rss_bytes() - before < RSS_LIMIT
    exchange.disconnect()
    control.expect(key, "closed")


def test_an_app_is_hardly_ahead_of_the_kernel(
    waiting_server: LiveServer, control: Control, key: str
) -> None:
    """Of what the app has made, all but a window and the server's buffer is in the sockets, if it
    is not spooled."""
    path = f"/large/counted?key={key}&size={GIGABYTE}&every={BLOCK}&spool=no"
    exchange = waiting_server.client.open("GET", path)
    assert isinstance(exchange, Http1Exchange)
    made = wait_until_paused(control, key)
    in_kernel = exchange.stream.bytes_in_kernel()

    allowed = WINDOW + SERVER_BUFFERS.get(waiting_server.name, USUAL_BUFFER)
    in_the_hand_of_the_app = BLOCK
    assert made - in_kernel <= allowed + in_the_hand_of_the_app
    exchange.disconnect()
    control.expect(key, "closed")


def test_a_response_of_a_gigabyte_needs_little_memory(
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
