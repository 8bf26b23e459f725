"""A Flask app with WebSockets by flask-sock, as its users write them.

What enters: HTTP and WebSockets, on worker threads. What leaves: echoes, and at ``/seen/<key>`` how
the WebSocket with that key ended, from the app's point of view.
"""

from __future__ import annotations

import threading
from typing import Any

from flask import Flask, abort, request
from flask_sock import Sock  # type: ignore[import-untyped]  # no stubs
from simple_websocket import ConnectionClosed, Server  # type: ignore[import-untyped]  # no stubs

import bridge

__all__ = ["FLOOD", "MIB", "PING_INTERVAL_S", "THREADS", "app", "flask_app", "mounted", "universal"]

THREADS = 4
MIB = 1024 * 1024
FLOOD = 64
PING_INTERVAL_S = 1.0
"""Also how long an answer may take before simple-websocket closes: a busy machine needs some."""

flask_app = Flask(__name__)
flask_app.config["SOCK_SERVER_OPTIONS"] = {"subprotocols": ["chat.v2"]}
sock = Sock(flask_app)
seen: dict[str, str] = {}
sent: dict[str, int] = {}


@flask_app.get("/")
def index() -> str:
    """Plain HTTP."""
    return threading.current_thread().name


@flask_app.get("/seen/<key>")
def how_it_ended(key: str) -> dict[str, Any]:
    """What the WebSocket with this key has noted, so far."""
    return {"end": seen.get(key, ""), "sent": sent.get(key, 0)}


def echo(ws: Server) -> None:
    """Say everything twice, until the client leaves."""
    key = request.args.get("key", "")
    try:
        while True:
            ws.send(ws.receive())
    except ConnectionClosed as closed:
        seen[key] = f"closed with {closed.reason} {closed.message or ''}".rstrip()
        raise


def about(ws: Server) -> None:
    """What the app sees of the handshake, and where it runs."""
    ws.send(ws.subprotocol or "none")
    ws.send(request.url)
    ws.send(request.headers.get("X-Boat", "no boat"))
    ws.send(threading.current_thread().name)


def close(ws: Server, code: int) -> None:
    """Say goodbye in the app's own words."""
    ws.send("last words")
    ws.close(code, "that is all")


def broken(ws: Server) -> None:
    """Fail with the socket open."""
    ws.send("before")
    raise RuntimeError(f"the mast broke, {request.args['key']}")


def flood(ws: Server) -> None:
    """Send as fast as the client reads, and note how far that is."""
    key = request.args["key"]
    for number in range(FLOOD):
        ws.send(bytes(MIB))
        sent[key] = number + 1


def members_only(ws: Server) -> None:
    """Never reached: see :func:`guard`."""


@flask_app.before_request
def guard() -> None:
    """What projects do to keep strangers out, before any WebSocket is accepted."""
    if request.path == "/members-only":
        abort(403, "Members only.")


pinging_app = Flask("pinging")
pinging_app.config["SOCK_SERVER_OPTIONS"] = {"ping_interval": PING_INTERVAL_S}
pinging_sock = Sock(pinging_app)


def pinged_echo(ws: Server) -> None:
    """Whoever leaves a ping unanswered is closed with 1008."""
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
    sock.route(_path)(_view)  # as a decorator it would hide the types
pinging_sock.route("/echo")(pinged_echo)

app = bridge.to_asgi(flask_app, threads=2, websocket_threads=THREADS)
universal = bridge.universal(flask_app, threads=2, websocket_threads=THREADS)
mounted = bridge.Router(
    {"/boats": flask_app, "/pinging": bridge.to_asgi(pinging_app, websocket_threads=THREADS)},
    threads=2,
    websocket_threads=THREADS,
)
