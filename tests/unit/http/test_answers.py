"""Plain-text responses, and WebSockets refused by a denial response or by a close."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from bridge._http.answers import (
    NOT_FOUND,
    asgi_answer,
    close_websocket,
    refused_websocket,
    wsgi_answer,
)
from bridge.types import Environ, Scope, StartResponse
from tests.harness.asgi import check_order
from tests.harness.wsgi import call, environ_of

DENIAL_RESPONSE: dict[str, Any] = {"websocket.http.response": {}}


def websocket_scope(**keys: Any) -> Scope:
    return {"type": "websocket", "path": "/ws", "headers": [], **keys}


# -- plain texts -----------------------------------------------------------------------------------


def test_an_asgi_answer_is_a_whole_response() -> None:
    start, body = asgi_answer(404, NOT_FOUND)

    assert start == {
        "type": "http.response.start",
        "status": 404,
        "headers": [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"10"),
        ],
    }
    assert body == {"type": "http.response.body", "body": b"Not Found\n", "more_body": False}
    check_order([], start)
    check_order([start], body)


def test_the_content_length_counts_bytes() -> None:
    start, body = asgi_answer(400, "caf\xe9")

    assert dict(start["headers"])[b"content-length"] == b"5"
    assert body["body"] == b"caf\xc3\xa9"


def test_an_asgi_answer_to_head_has_the_length_and_no_body() -> None:
    start, body = asgi_answer(404, NOT_FOUND, method="HEAD")

    assert start == asgi_answer(404, NOT_FOUND)[0]
    assert body["body"] == b""


def test_an_asgi_answer_may_ask_the_client_to_retry() -> None:
    start, _ = asgi_answer(503, "Busy\n", retry_after_s=2)

    assert dict(start["headers"])[b"retry-after"] == b"2"
    assert b"retry-after" not in dict(asgi_answer(503, "Busy\n")[0]["headers"])


@pytest.mark.parametrize(("method", "body"), [("GET", b"caf\xc3\xa9"), ("HEAD", b"")])
def test_a_wsgi_answer_is_a_whole_response(method: str, body: bytes) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return wsgi_answer(start_response, 400, "caf\xe9", method=environ["REQUEST_METHOD"])

    response = call(app, environ_of(method))

    assert (response.status, response.body) == (400, body)
    assert response.headers == (
        ("content-type", "text/plain; charset=utf-8"),
        ("content-length", "5"),
    )


def test_a_wsgi_answer_has_a_status_line() -> None:
    lines: list[str] = []

    def start_response(status: str, headers: object, exc_info: object = None, /) -> Any:
        lines.append(status)

    wsgi_answer(start_response, 404, NOT_FOUND)

    assert lines == ["404 Not Found"]


# -- refused WebSockets ----------------------------------------------------------------------------


def test_a_websocket_is_refused_with_a_response_where_the_server_can_send_one() -> None:
    messages = refused_websocket(
        websocket_scope(extensions=DENIAL_RESPONSE),
        404,
        headers=[(b"content-type", b"text/plain"), (b"content-length", b"99")],
        body=b"Not Found\n",
        reason="not sent",
    )

    assert messages == [
        {
            "type": "websocket.http.response.start",
            "status": 404,
            "headers": [(b"content-type", b"text/plain"), (b"content-length", b"10")],
        },
        {"type": "websocket.http.response.body", "body": b"Not Found\n", "more_body": False},
    ]


@pytest.mark.parametrize("keys", [{}, {"extensions": None}, {"extensions": {"tls": {}}}])
def test_a_websocket_is_refused_with_a_close_elsewhere(keys: dict[str, Any]) -> None:
    messages = refused_websocket(websocket_scope(**keys), 404, body=b"lost", reason="not found")

    assert messages == [{"type": "websocket.close", "code": 1000, "reason": "not found"}]


def test_a_close_has_an_empty_reason_by_default() -> None:
    assert close_websocket() == {"type": "websocket.close", "code": 1000, "reason": ""}
