"""The server thread's part of a WebSocket: from the handshake to the moment the thread is free.

Rule 1. What can be refused without the app is refused through the server, as an ordinary response.
Rule 2. The thread waits ``DECISION_S`` for the app to accept or deny the WebSocket. If the app
        needs longer, the connection is taken over undecided: slow accepts must not occupy the
        threads that serve HTTP.
Rule 3. Once the connection is taken over, the server gets a response that reaches nobody. Its log
        shows 101, also for an app that denies the WebSocket later.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from bridge._http.answers import SHUTTING_DOWN, wsgi_answer
from bridge._http.client_text import ClientText
from bridge._http.environ_to_scope import body_length, build_websocket_scope
from bridge._http.rules import BadRequest
from bridge._http.websocket_handshake import refusal_of, subprotocols
from bridge._observe.record import RECORD, RequestRecord
from bridge._repeated_log import RepeatedLog
from bridge.asgi_to_wsgi.running_app import RunningApp
from bridge.asgi_to_wsgi.websocket import limits
from bridge.asgi_to_wsgi.websocket.raw_socket import RawSocket, find_raw_socket, server_name
from bridge.asgi_to_wsgi.websocket.takeover import take_over
from bridge.config import WebSocketOptions
from bridge.types import AsgiApp, Environ, Scope, StartResponse

if TYPE_CHECKING:
    from bridge.asgi_to_wsgi.websocket.session import Session

__all__ = ["serve_websocket"]

logger = logging.getLogger("bridge.asgi_to_wsgi")
repeated = RepeatedLog(logger)

DECISION_S = 0.1
"""How long the thread waits for the app to accept or deny."""

OFF = "WebSockets are not served here\n"
NO_SOCKET = (
    "{server} gives apps no access to the connection, so WebSockets cannot be served here.\n"
    "Serve the app with gunicorn (worker class gthread, sync or gevent), or, without to_wsgi, "
    "with an ASGI server, for example: bridge run main:asgi_app --server uvicorn\n"
)
NO_CODEC = (
    "WebSockets need the package websockets, which is not installed here:\n"
    "pip install wsgi-asgi-bridge[websocket]\n"
)
TOO_MANY = "Too many WebSockets are open\n"
HAS_BODY = "A WebSocket handshake has no body\n"
READ_AHEAD = "The client has sent data before the WebSocket was open\n"


def serve_websocket(
    app: RunningApp,
    asgi: AsgiApp,
    options: WebSocketOptions,
    environ: Environ,
    start_response: StartResponse,
) -> Iterable[bytes]:
    """PEP 3333, for a request that asks for a WebSocket."""
    if options.websockets == "off":
        return wsgi_answer(start_response, 426, OFF)
    refusal = refusal_of(environ, options.websocket_origins)
    if refusal is not None:
        return wsgi_answer(start_response, refusal.status, refusal.text, headers=refusal.headers)
    try:
        if body_length(environ) != 0:
            return wsgi_answer(start_response, 400, HAS_BODY)
        scope = build_websocket_scope(environ, app.state, subprotocols(environ), app.marks)
    except BadRequest as error:
        return wsgi_answer(start_response, 400, f"{error}\n")
    raw = find_raw_socket(environ)
    if raw is None:
        return wsgi_answer(start_response, 501, NO_SOCKET.format(server=server_name(environ)))
    try:
        from bridge.asgi_to_wsgi.websocket.session import Session
    except ModuleNotFoundError:
        repeated.warning("501 for a WebSocket: the package websockets is not installed")
        return wsgi_answer(start_response, 501, NO_CODEC)
    if raw.has_read_ahead():
        return wsgi_answer(start_response, 400, READ_AHEAD)
    session = Session(app, asgi, options, scope, environ, copy_context())
    if not limits.admit(session):
        return _too_many(scope, start_response, f"{limits.limit()} WebSockets are open")
    try:
        return _hand_over(app, session, scope, raw, start_response)
    except BaseException:
        app.inbox.post(session.refuse)
        raise


def _hand_over(
    app: RunningApp,
    session: Session,
    scope: Scope,
    raw: RawSocket,
    start_response: StartResponse,
) -> Iterable[bytes]:
    if not app.inbox.post(session.start):
        limits.release(session)
        return wsgi_answer(start_response, 503, SHUTTING_DOWN, headers=[("retry-after", "1")])
    denial = session.denial if session.decided.acquire(timeout=DECISION_S) else None
    if denial is not None:
        app.inbox.post(session.lost)
        headers, body = denial.for_server()
        start_response(denial.status, headers)
        return [body]
    try:
        taken = take_over(raw.connection)
    except OSError as error:
        app.inbox.post(session.refuse)
        return _too_many(scope, start_response, str(error))
    record: RequestRecord | None = scope.get(RECORD)
    if record is not None:
        record.split()
    try:
        if not app.inbox.post(partial(session.attach, taken.connection)):
            taken.connection.close()
            limits.release(session)
            if record is not None:
                record.end()
        _close_after_response(start_response)
        start_response("101 Switching Protocols", [])
    except BaseException:
        taken.decoy.close()
        raise
    return taken.decoy


def _too_many(scope: Scope, start_response: StartResponse, why: str) -> Iterable[bytes]:
    repeated.warning("503 for the WebSocket %s: %s", ClientText(scope["path"]), why)
    return wsgi_answer(start_response, 503, TOO_MANY, headers=[("retry-after", "5")])


def _close_after_response(start_response: Any) -> None:
    """Keep gunicorn from waiting for another request on the decoy, which is at its end."""
    force_close = getattr(getattr(start_response, "__self__", None), "force_close", None)
    if force_close is not None:
        force_close()
