"""Random sessions of a WebSocket, under gunicorn through bridge and under uvicorn: both are alike.

``BRIDGE_TEST_SESSIONS`` is the number of sessions. The error names the seeds that differ. Not part
of a session is an app that returns without a close: bridge closes with 1000, uvicorn closes the
connection without a close frame.
"""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from tests.conftest import Servers
from tests.harness.control import Control
from tests.harness.websocket_sessions import Session, Transcript, session, transcript
from tests.servers.to_wsgi.conftest import WsgiServers

SESSIONS = int(os.environ.get("BRIDGE_TEST_SESSIONS", "20"))
CODECS = ["websockets", "websockets-sansio", "wsproto"]
APP = "tests.apps.asgi_websockets"


@pytest.mark.parametrize("codec", CODECS)
def test_sessions_are_as_under_uvicorn(
    codec: str, wsgi_servers: WsgiServers, servers: Servers, control: Control, key: str
) -> None:
    gunicorn = wsgi_servers.get("gunicorn-gthread", f"{APP}:app")
    uvicorn = servers.get("uvicorn-uvloop", f"{APP}:asgi", env={}, args=("--ws", codec))
    differ = []
    for seed in range(SESSIONS):
        played = session(seed)
        if codec == "wsproto":  # 1.3 does not decompress what follows a ping between two frames
            played = replace(played, compresses=False)
        ours = both_sides(gunicorn.port, played, control, f"{key}-{seed}-gunicorn")
        theirs = both_sides(uvicorn.port, played, control, f"{key}-{seed}-uvicorn")
        correct(theirs, played, codec)
        for name in ours | theirs:
            pair = (ours.get(name), theirs.get(name))
            if pair[0] != pair[1]:
                differ.append(f"seed {seed}, {played.ends}, {name}: {pair}")

    assert not differ, "\n".join(differ)


def both_sides(port: int, played: Session, control: Control, key: str) -> Transcript:
    """What the client has seen, and what the app has received."""
    seen = transcript(port, played, key)
    (received,) = control.expect(key, "received")
    return {**seen, "received": received["messages"]}


def correct(theirs: Transcript, played: Session, codec: str) -> None:
    """Put right what uvicorn 0.54 does otherwise, and may come to do as bridge."""
    if theirs["status"] != 101:
        return
    end = theirs["received"][-1]
    if played.ends == "vanishes" and codec != "websockets" and end[1] == 1005:
        end[1] = 1006  # RFC 6455, 7.1.5: 1005 is a close frame without a code, 1006 none at all
    if played.ends == "raises" and theirs["close"] is None:
        theirs["close"] = (1011, "")  # uvicorn closes the connection without a close frame
