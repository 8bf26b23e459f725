"""F701: WebSockets by flask-sock."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.harness.servers import SERVERS, serve
from tests.migrate.helpers import check_noop, findings

CODE = "F701"
APP = (
    "from flask import Flask\n"
    "from flask_sock import Sock\n\n"
    "app = Flask(__name__)\n"
    "sock = Sock(app)\n\n\n"
    '@sock.route("/echo")\n'
    "def echo(ws):\n"
    "    ws.send(ws.receive())\n"
)
HANDSHAKE = (
    b"GET /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def test_it_is_found_where_it_is_created() -> None:
    [found] = findings({"shop/code.py": APP}, CODE)

    assert (found.line, found.fix) == (5, None)
    assert "every WebSocket is refused" in found.message


def test_simple_websocket_is_found() -> None:
    text = "import simple_websocket\n\nws = simple_websocket.Server.accept(environ)\n"
    assert len(findings({"shop/code.py": text}, CODE)) == 1


def test_another_class_of_that_name_is_ignored() -> None:
    check_noop(CODE, "from socks import Sock\n\nsock = Sock('flask_sock')\n")


def test_a_project_with_websocket_threads_is_ignored() -> None:
    asgi = "import bridge\n\nmain = bridge.to_asgi(app, websocket_threads=8)\n"
    check_noop(CODE, APP, files={"shop/asgi.py": asgi})


def test_a_comment_suppresses_it() -> None:
    check_noop(CODE, APP.replace("Sock(app)", "Sock(app)  # bridge: ignore[F701]"))


@pytest.mark.parametrize(
    ("server", "status"), [("gunicorn-gthread", b"101"), ("uvicorn-h11", b"403")]
)
def test_servers_confirm_the_severity(server: str, status: bytes, tmp_path: Path) -> None:
    (tmp_path / "echoes.py").write_text(
        f"import bridge\n{APP}\n\nmain = bridge.to_asgi(app)\n", "utf-8"
    )
    app = "echoes:app" if SERVERS[server].kind == "wsgi" else "echoes:main"
    with (
        serve(server, app, cwd=tmp_path) as running,
        socket.create_connection(("127.0.0.1", running.port), timeout=30) as connection,
        connection.makefile("rb") as answer,
    ):
        connection.sendall(HANDSHAKE)
        assert answer.readline().split()[1] == status
