"""A Flask app with WebSockets by flask-sock.

It serves HTTP and WebSockets on worker threads. ``/seen/<key>`` responds with how the WebSocket
with that key ended, as the app saw it.
"""

from __future__ import annotations

import threading
from typing import Any

from flask import Flask, abort, request
from flask_sock import Sock  # type: ignore[import-untyped]  # no stubs
from simple_websocket import ConnectionClosed, Server  # type: ignore[import-untyped]  # no stubs

import bridge
from tests.harness import every_line  # noqa: F401 (imported for its effect)

__all__ = ["FLOOD", "MIB", "PING_INTERVAL_S", "THREADS", "app", "flask_app", "mounted", "universal"]

THREADS = 4
MIB = 1024 * 1024
FLOOD = 64
PING_INTERVAL_S = 1.0
"""Also the time limit of simple-websocket for a pong, long enough for a busy machine."""

flask_app = Flask(__name__)
flask_app.config["SOCK_SERVER_OPTIONS"] = {"subprotocols": ["chat.v2"]}
sock = Sock(flask_app)
seen: dict[str, str] = {}
sent: dict[str, int] = {}


@flask_app.get("/")
def index() -> str:
    """The name of the thread."""
    return threading.current_thread().name


@flask_app.get("/seen/<key>")
def show_seen(key: str) -> dict[str, Any]:
    """What the WebSocket with this key has recorded so far."""
    return {"end": seen.get(key, ""), "sent": sent.get(key, 0)}


def echo(ws: Server) -> None:
    """Echo messages until the client disconnects."""
    key = request.args.get("key", "")
    try:
        while True:
            ws.send(ws.receive())
    except ConnectionClosed as closed:
        seen[key] = f"closed with {closed.reason} {closed.message or ''}".rstrip()
        print(f"closed {key} with {int(closed.reason)}", flush=True)
        raise


def about(ws: Server) -> None:
    """Send the handshake as the app sees it, and the name of the thread."""
    ws.send(ws.subprotocol or "none")
    ws.send(request.url)
    ws.send(request.headers.get("X-Boat", "no boat"))
    ws.send(threading.current_thread().name)


def close(ws: Server, code: int) -> None:
    """Close with a code and reason of the app."""
    ws.send("last message")
    ws.close(code, "done")


def broken(ws: Server) -> None:
    """Raise while the WebSocket is open."""
    ws.send("before")
    raise RuntimeError(f"the mast broke, {request.args['key']}")


def flood(ws: Server) -> None:
    """Send as fast as the client reads, and record the number of messages."""
    key = request.args["key"]
    for number in range(FLOOD):
        ws.send(bytes(MIB))
        sent[key] = number + 1


def members_only(ws: Server) -> None:
    """Never called: see :func:`guard`."""


@flask_app.before_request
def guard() -> None:
    """Refuse a request before its WebSocket is accepted."""
    if request.path == "/members-only":
        abort(403, "Members only.")


pinging_app = Flask("pinging")
pinging_app.config["SOCK_SERVER_OPTIONS"] = {"ping_interval": PING_INTERVAL_S}
pinging_sock = Sock(pinging_app)


def pinged_echo(ws: Server) -> None:
    """Echo messages; simple-websocket closes with 1008 after an unanswered ping."""
    while True:
        ws.send(ws.receive())


for _path, _view in (
    ("/echo", echo),
    ("/about", about),
    ("/close/<int:code>", close),
    ("/broken", broken),
    ("/flood", flood),
    ("/members-only", members_only),
):
    sock.route(_path)(_view)  # a decorator would hide the types
pinging_sock.route("/echo")(pinged_echo)

app = bridge.to_asgi(flask_app, threads=2, websocket_threads=THREADS)
universal = bridge.universal(flask_app, threads=2, websocket_threads=THREADS)
mounted = bridge.Router(
    {"/boats": flask_app, "/pinging": bridge.to_asgi(pinging_app, websocket_threads=THREADS)},
    threads=2,
    websocket_threads=THREADS,
)
