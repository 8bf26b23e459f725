"""F702: Flask-SocketIO."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.harness.http import Http1Client
from tests.harness.servers import SERVERS, serve
from tests.migrate.helpers import check_noop, findings

CODE = "F702"
HEAD = "from flask_socketio import SocketIO\n\n"


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("SocketIO(app)", "(eventlet or gevent where installed) does not run"),
        ('SocketIO(app, async_mode="gevent")', "async_mode gevent does not run"),
        ('SocketIO(app, async_mode="threading")', "each client that polls holds a thread"),
    ],
)
def test_it_is_found_where_it_is_created(call: str, expected: str) -> None:
    [found] = findings({"shop/code.py": f"{HEAD}sio = {call}\n"}, CODE)

    assert found.line == 3
    assert expected in found.message


def test_python_socketio_is_ignored() -> None:
    check_noop(CODE, "import socketio  # not flask_socketio\n\nsio = socketio.AsyncServer()\n")


def test_a_comment_suppresses_it() -> None:
    check_noop(CODE, f"{HEAD}sio = SocketIO(app)  # bridge: ignore[F702] polling is enough\n")


def test_websocket_threads_are_enough_with_async_mode_threading() -> None:
    asgi = {"shop/asgi.py": "import bridge\n\nmain = bridge.to_asgi(app, websocket_threads=8)\n"}
    check_noop(CODE, f'{HEAD}sio = SocketIO(app, async_mode="threading")\n', files=asgi)
    check = {"shop/code.py": f"{HEAD}sio = SocketIO(app)\n", **asgi}
    assert len(findings(check, CODE)) == 1


APP = """
import bridge
from flask import Flask
from flask_socketio import SocketIO

app = Flask(__name__)
sio = SocketIO(app, async_mode="threading")
main = bridge.to_asgi(app)
with_sockets = bridge.to_asgi(app, websocket_threads=4)
"""
HANDSHAKE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.mark.parametrize(
    ("server", "app", "status"),
    [
        ("gunicorn-gthread", "app", b"101"),
        ("uvicorn-h11", "main", b"403"),
        ("uvicorn-h11", "with_sockets", b"101"),
    ],
)
def test_servers_confirm_the_severity(server: str, app: str, status: bytes, tmp_path: Path) -> None:
    (tmp_path / "rooms.py").write_text(APP, "utf-8")
    assert SERVERS[server].kind == ("wsgi" if app == "app" else "asgi")
    with serve(server, f"rooms:{app}", cwd=tmp_path) as running:
        polled = Http1Client(running.port).fetch("GET", "/socket.io/?EIO=4&transport=polling")
        assert (polled.status, polled.body[:1]) == (200, b"0")
        with (
            socket.create_connection(("127.0.0.1", running.port), timeout=30) as connection,
            connection.makefile("rb") as answer,
        ):
            connection.sendall(HANDSHAKE)
            assert answer.readline().split()[1] == status
