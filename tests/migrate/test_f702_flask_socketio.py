"""F702: Flask-SocketIO."""

from __future__ import annotations

import pytest

from tests.migrate.helpers import check_noop, findings

CODE = "F702"
HEAD = "from flask_socketio import SocketIO\n\n"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("SocketIO(app)", "(eventlet or gevent where installed) does not run"),
        ('SocketIO(app, async_mode="gevent")', "async_mode gevent does not run"),
        ('SocketIO(app, async_mode="threading")', "each client that polls holds a thread"),
    ],
)
def test_it_is_told_where_it_is_made(call: str, said: str) -> None:
    [found] = findings({"shop/code.py": f"{HEAD}sio = {call}\n"}, CODE)

    assert found.line == 3
    assert said in found.message


def test_python_socketio_is_left_alone() -> None:
    check_noop(CODE, "import socketio  # not flask_socketio\n\nsio = socketio.AsyncServer()\n")


def test_a_comment_suppresses_it() -> None:
    check_noop(CODE, f"{HEAD}sio = SocketIO(app)  # bridge: ignore[F702] polling is enough\n")
