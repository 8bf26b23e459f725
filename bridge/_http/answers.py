"""Responses that bridge gives itself: short plain texts, and refused WebSockets.

Messages for an ASGI server, or a ``start_response`` call on the thread of a WSGI server.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from bridge._http.client_text import literal
from bridge._http.response_heads import status_line
from bridge.types import Environ, Message, Scope, Send, StartResponse

__all__ = [
    "BUSY",
    "NOT_FOUND",
    "SHUTTING_DOWN",
    "TOO_LATE",
    "asgi_answer",
    "close_websocket",
    "not_found",
    "refused_websocket",
    "send_answer",
    "wsgi_answer",
]

BUSY = "The server is busy. Please try again."
NOT_FOUND = "Not Found\n"
SHUTTING_DOWN = "The server is shutting down\n"
TOO_LATE = "The server did not complete the request in time.\n"
_TYPE = "text/plain; charset=utf-8"


def asgi_answer(
    status: int,
    text: str,
    *,
    retry_after_s: int | None = None,
    method: str = "GET",
    closes: bool = False,
) -> list[Message]:
    """The messages of a whole response.

    :param method: of the request; HEAD gets no body.
    :param closes: whether the server closes the connection after it. Only HTTP/1 has a header for
        that (RFC 9113, 8.2.2).
    """
    body = text.encode("utf-8")
    headers = [
        (b"content-type", _TYPE.encode("ascii")),
        (b"content-length", b"%d" % len(body)),
    ]
    if retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % retry_after_s))
    if closes:
        headers.append((b"connection", b"close"))
    return [
        {"type": "http.response.start", "status": status, "headers": headers},
        {
            "type": "http.response.body",
            "body": b"" if method == "HEAD" else body,
            "more_body": False,
        },
    ]


async def send_answer(send: Send, messages: Iterable[Message], logger: logging.Logger) -> None:
    """Send an answer that bridge gives itself.

    A server may have nobody to send it to: the client has gone (``OSError``), or has sent a
    malformed body, which the server has answered. uvicorn with h11 raises an error of h11 then. The
    answer is of no interest any more, and neither is the error.

    :param logger: gets the error, at debug level.
    """
    try:
        for message in messages:
            await send(message)
    except Exception as error:
        logger.debug("send() raised: %s", literal(error))


def wsgi_answer(
    start_response: StartResponse,
    status: int,
    text: str,
    *,
    method: str = "GET",
    headers: Iterable[tuple[str, str]] = (),
) -> Iterable[bytes]:
    """Answer a request.

    :param method: of the request; HEAD gets no body.
    :param headers: to add.
    """
    body = text.encode("utf-8")
    fields = [("content-type", _TYPE), ("content-length", str(len(body))), *headers]
    start_response(status_line(status), fields)
    return [] if method == "HEAD" else [body]


def not_found(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """A WSGI app that answers 404."""
    return wsgi_answer(start_response, 404, NOT_FOUND, method=environ["REQUEST_METHOD"])


def close_websocket(reason: str = "") -> Message:
    """The message that refuses a WebSocket before it is accepted. Servers answer it with 403."""
    return {"type": "websocket.close", "code": 1000, "reason": reason}


def refused_websocket(
    scope: Scope,
    status: int,
    *,
    headers: Iterable[tuple[bytes, bytes]] = (),
    body: bytes = b"",
    reason: str = "",
) -> list[Message]:
    """The messages that refuse a WebSocket with a response, before it is accepted.

    Where the server cannot send one (ASGI extension "WebSocket Denial Response"), a close.

    :param reason: of the close.
    """
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        return [close_websocket(reason)]
    fields = [(name, value) for name, value in headers if name != b"content-length"]
    fields.append((b"content-length", b"%d" % len(body)))
    return [
        {"type": "websocket.http.response.start", "status": status, "headers": fields},
        {"type": "websocket.http.response.body", "body": body, "more_body": False},
    ]
