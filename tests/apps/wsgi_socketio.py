"""A Flask-SocketIO app on worker threads: it echoes, and disconnects clients that ask for it."""

from __future__ import annotations

from flask import Flask, request
from flask_socketio import SocketIO, emit  # type: ignore[import-untyped]  # no stubs

import bridge

__all__ = ["app"]

flask_app = Flask(__name__)
socketio = SocketIO(flask_app, async_mode="threading", logger=False, engineio_logger=False)


@flask_app.get("/")
def index() -> str:
    return "served\n"


@socketio.on("echo")  # type: ignore[untyped-decorator]  # no stubs
def echo(text: str) -> None:
    emit("echo", text)


@socketio.on("leave")  # type: ignore[untyped-decorator]  # no stubs
def leave() -> None:
    """Close the WebSocket, not only the namespace of socket.io."""
    server = socketio.server
    sid = request.sid  # type: ignore[attr-defined]  # Flask-SocketIO sets it
    server.eio.disconnect(server.manager.eio_sid_from_sid(sid, "/"))


@socketio.on("fail")  # type: ignore[untyped-decorator]  # no stubs
def fail() -> None:
    raise ConnectionRefusedError("no database")


app = bridge.to_asgi(flask_app, websocket_threads=8)
