"""ASGI apps that violate the specification in one way each, at ``/faulty/<name>``."""

from __future__ import annotations

from typing import Any

from bridge.types import Receive, Scope, Send
from tests.apps.asgi_routes import query, route

START: dict[str, Any] = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/plain")],
}
BODY: dict[str, Any] = {"type": "http.response.body", "body": b"fine"}
MORE = {**BODY, "more_body": True}
FILE: dict[str, Any] = {"type": "http.response.pathsend", "path": __file__}


def sized(length: int) -> dict[str, Any]:
    return {**START, "headers": [(b"content-length", b"%d" % length)]}


# name -> (messages, expected text in the log)
BEFORE: dict[str, tuple[list[Any], str]] = {
    "body_first": ([BODY], "sent http.response.body when no response has started"),
    "two_starts": ([START, START], "sent http.response.start when the response has started"),
    "text_body": ([START, {**BODY, "body": "text"}], "body is str; the ASGI spec asks for bytes"),
    "text_header": ([{**START, "headers": [("a", "b")]}], "the ASGI spec asks for bytes"),
    "split_header": (
        [{**START, "headers": [(b"a", b"b\r\nc: d")]}],
        r"is 'b\r\nc: d'; control characters",
    ),
    "control_header": (
        [{**START, "headers": [(b"x-bad", b"a\x01b")]}],
        r"value of header 'x-bad' is 'a\x01b'; control characters",
    ),
    "no_status": ([{"type": "http.response.start"}], "status is None"),
    "too_long": ([sized(2), BODY], "longer than its Content-Length"),
    "too_short": ([sized(9), BODY], "5 bytes are missing"),
    "short_file": ([sized(1 << 30), FILE], "asgi_faulty.py is shorter than its Content-Length"),
    "nothing": ([], "returned (no response has started)"),
    "only_start": ([START], "returned (the response has started)"),
    "wrong_kind": ([{"type": "websocket.accept"}], "sent websocket.accept when"),
}
"""Detected before anything is sent: a 500."""

MIDDLE: dict[str, tuple[list[Any], str]] = {
    "no_end": ([START, MORE], "returned (the body is incomplete)"),
    "late_start": ([START, MORE, START], "sent http.response.start when the body is incomplete"),
    "late_text": ([START, MORE, {**MORE, "body": "text"}], "body is str"),
    "late_short": ([sized(9), MORE, BODY], "1 bytes are missing"),
    "late_long": ([sized(6), MORE, MORE], "longer than its Content-Length"),
}
"""Detected after the first chunk: the response is aborted."""

AFTER: dict[str, tuple[list[Any], str]] = {
    "body_after_end": ([START, BODY, BODY], "sent http.response.body when the response is"),
    "start_after_end": ([START, BODY, START], "sent http.response.start when the response is"),
}
"""Detected after the complete response: only logged."""


@route("/faulty")
async def faulty(scope: Scope, receive: Receive, send: Send) -> None:
    messages, _ = {**BEFORE, **MIDDLE, **AFTER}[scope["path"].rpartition("/")[2]]
    for message in messages:
        await send(message)


@route("/exit")
async def exit_process(scope: Scope, receive: Receive, send: Send) -> None:
    """Raises SystemExit, which must not stop the server."""
    raise SystemExit(query(scope)["key"])
