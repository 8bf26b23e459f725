"""P4: a chunked body arrives whole. A truncated body is an error and not a clean end.

Seen at daphne #476 and gunicorn #1265. a2wsgi loses chunked bodies, and returns endless empty
messages for a truncated one. ``tests/conformance/test_bodies.py`` tests the same with messages.
"""

from __future__ import annotations

import hashlib

import pytest

from tests.conftest import BUFFERED, LiveServer
from tests.harness.control import Control
from tests.harness.http import Aborted, Fields


def test_a_body_without_content_length_arrives_whole(live_server: LiveServer) -> None:
    pieces = [b"a", b"bc" * 5000, b"", b"d" * 70_000]
    exchange = live_server.client.open("PUT", "/upload", has_body=True)
    for piece in pieces:
        exchange.send(piece)
    exchange.end()

    seen = exchange.read().json()

    whole = b"".join(pieces)
    assert (seen["length"], seen["sha256"]) == (len(whole), hashlib.sha256(whole).hexdigest())


@pytest.mark.parametrize("fields", [[], [("content-length", "100000")]], ids=["chunked", "sized"])
def test_a_truncated_body_is_an_error(
    live_server: LiveServer, control: Control, key: str, fields: Fields
) -> None:
    exchange = live_server.client.open("PUT", f"/upload/cut?key={key}", fields, has_body=True)
    exchange.send(b"only a part".ljust(BUFFERED))
    if live_server.name != "daphne":  # which calls the app after the whole body
        control.expect(key, "reading")
    exchange.disconnect()

    with pytest.raises((Aborted, OSError)):
        exchange.read()
    if live_server.name != "daphne":
        (ended,) = control.expect(key, "ended")
        assert ended["error"][0] == "ClientDisconnected"
    assert live_server.client.fetch("GET", "/").status == 200
