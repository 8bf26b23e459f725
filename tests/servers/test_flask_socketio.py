"""Flask-SocketIO with `websocket_threads`: it ends its WebSockets with a ConnectionError."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import SHUT_RDWR

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from tests.harness.servers import Server, serve

TARGET = "tests.apps.wsgi_socketio:app"
TIMEOUT_S = 30.0
SERVERS = [
    "uvicorn-uvloop",
    *(
        pytest.param(name, marks=pytest.mark.full)
        for name in ("uvicorn-h11", "hypercorn", "daphne", "granian", "gunicorn-asgi")
    ),
]


@contextmanager
def joined(server: Server, *, upgraded: bool = False) -> Iterator[ClientConnection]:
    """A WebSocket whose events are answered.

    :param upgraded: begin with long polling, as the clients of socket.io do.
    """
    url = f"{server.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket"
    if upgraded:
        opened = httpx.get(f"{server.url}/socket.io/?EIO=4&transport=polling", timeout=TIMEOUT_S)
        url += f"&sid={json.loads(opened.text[1:])['sid']}"
    with connect(url, compression=None) as socket:
        if upgraded:
            socket.send("2probe")
            assert socket.recv(TIMEOUT_S) == "3probe"
            socket.send("5")
        else:
            assert str(socket.recv(TIMEOUT_S)).startswith("0{")
        socket.send("40")
        while not str(socket.recv(TIMEOUT_S)).startswith("40{"):
            pass  # engine.io may send a packet without content first
        socket.send('42["echo","Ahoy"]')
        assert socket.recv(TIMEOUT_S) == '42["echo","Ahoy"]'
        yield socket


@pytest.mark.parametrize("name", SERVERS)
def test_the_end_of_a_websocket_is_not_logged_as_an_error(name: str, tmp_path: Path) -> None:
    with serve(name, TARGET, log_dir=tmp_path) as server:
        for upgraded in (False, True):
            with joined(server, upgraded=upgraded) as socket:
                socket.close()
            with joined(server, upgraded=upgraded) as socket:
                socket.send('42["leave"]')
                assert list(socket)[-1:] in ([], ["1"])  # engine.io's close, then the WebSocket's
            with joined(server, upgraded=upgraded) as socket:
                socket.socket.shutdown(SHUT_RDWR)
        server.terminate()
        log = server.log()

    for word in ("Traceback", "ConnectionError", "Exception", "ERROR"):
        assert word not in log, log


def test_a_refused_connection_of_the_app_is_logged(tmp_path: Path) -> None:
    with serve("uvicorn-uvloop", TARGET, log_dir=tmp_path) as server, joined(server) as socket:
        socket.send('42["fail"]')
        server.wait_for_log("ConnectionRefusedError: no database")
