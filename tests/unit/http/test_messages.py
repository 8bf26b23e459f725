"""The state tables of ASGI messages: legal sequences, and the errors for illegal ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from bridge._http.messages import HTTP_RESPONSE, LIFESPAN, Conversation
from bridge.errors import AppProtocolError, ServerProtocolError

START = {"type": "http.response.start", "status": 200}
TRAILERS_AHEAD = {**START, "trailers": True}
MORE = {"type": "http.response.body", "body": b"x", "more_body": True}
LAST = {"type": "http.response.body", "body": b"x"}
FILE = {"type": "http.response.pathsend", "path": "/etc/hostname"}
TRAILERS = {"type": "http.response.trailers", "headers": []}
MORE_TRAILERS = {**TRAILERS, "more_trailers": True}
HINT = {"type": "http.response.early_hint", "links": []}


def walk(conversation: Conversation, *messages: Mapping[str, Any]) -> str:
    state = conversation.start
    for message in messages:
        state = conversation.after(state, message)
    return state


@pytest.mark.parametrize(
    "messages",
    [
        (START, LAST),
        (START, MORE, MORE, LAST),
        (START, {**LAST, "more_body": False}),
        (HINT, HINT, START, LAST),
        (START, FILE),
        (TRAILERS_AHEAD, MORE, LAST, MORE_TRAILERS, TRAILERS),
        (TRAILERS_AHEAD, FILE, TRAILERS),
    ],
)
def test_a_legal_sequence_completes_the_response(messages: tuple[Any, ...]) -> None:
    assert walk(HTTP_RESPONSE, *messages) == "the response is complete"


@pytest.mark.parametrize(
    ("messages", "wrong", "state", "allowed"),
    [
        ((), LAST, "no response has started", "http.response.start"),
        ((START,), START, "the response has started", "http.response.body"),
        ((START, MORE), START, "the body is incomplete", "http.response.body"),
        ((START, MORE), FILE, "the body is incomplete", "http.response.body"),
        ((START, LAST), LAST, "the response is complete", "nothing"),
        ((START, LAST), TRAILERS, "the response is complete", "nothing"),
        ((START,), HINT, "the response has started", "http.response.body"),
        ((TRAILERS_AHEAD, LAST), LAST, "trailers are due", "http.response.trailers"),
    ],
)
def test_the_error_names_the_message_the_state_and_the_allowed_messages(
    messages: tuple[Any, ...], wrong: Mapping[str, Any], state: str, allowed: str
) -> None:
    before = walk(HTTP_RESPONSE, *messages)

    with pytest.raises(AppProtocolError) as caught:
        HTTP_RESPONSE.after(before, wrong)

    message = str(caught.value)
    assert message.startswith(f"http response: the app sent {wrong['type']}")
    assert f"when {before}" in message
    assert state in message
    assert message.endswith(f"allowed was {allowed}")


def test_an_unknown_message_type_is_an_error() -> None:
    with pytest.raises(AppProtocolError, match=r"the app sent websocket\.send when"):
        HTTP_RESPONSE.after(HTTP_RESPONSE.start, {"type": "websocket.send"})


@pytest.mark.parametrize("wrong", [None, "http.response.start", {}, {"type": None}, {"type": []}])
def test_a_value_that_is_not_a_message_is_an_error(wrong: Any) -> None:
    with pytest.raises(AppProtocolError, match="an ASGI message is a dict with a str"):
        HTTP_RESPONSE.after(HTTP_RESPONSE.start, wrong)


def test_an_illegal_message_of_the_server_is_a_server_protocol_error() -> None:
    running = walk(LIFESPAN, {"type": "lifespan.startup"}, {"type": "lifespan.startup.complete"})

    with pytest.raises(ServerProtocolError, match=r"the server sent lifespan\.startup when"):
        LIFESPAN.after(running, {"type": "lifespan.startup"}, "server")


def test_a_lifespan_runs_once() -> None:
    kinds = ("startup", "startup.complete", "shutdown", "shutdown.complete")

    end = walk(LIFESPAN, *({"type": f"lifespan.{kind}"} for kind in kinds))

    assert end == "the lifespan has ended"
    with pytest.raises(AppProtocolError, match="allowed was nothing"):
        LIFESPAN.after(end, {"type": "lifespan.shutdown.complete"})


def test_a_lifespan_reply_before_startup_is_an_error() -> None:
    with pytest.raises(AppProtocolError, match="the app has not been started; allowed was nothing"):
        LIFESPAN.after(LIFESPAN.start, {"type": "lifespan.startup.complete"})


@pytest.mark.parametrize("table", [HTTP_RESPONSE, LIFESPAN])
def test_every_transition_leads_to_a_state_of_the_table(table: Conversation) -> None:
    assert table.start in table.moves
    assert {state for row in table.moves.values() for state in row.values()} <= set(table.moves)
