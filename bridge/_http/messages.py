"""Which ASGI message may follow which, as tables. Pure; runs on any thread.

What enters: the state of a conversation and the next message of the app or the server. What leaves:
the next state; or a :class:`~bridge.errors.ProtocolError` that names who sent what in which state,
and what was allowed.

Each table has a row for every state: the messages that may come, and where each leads. A message
that means two things is two of its rows: ``http.response.body`` ends the response unless
``more_body`` is true. The states are phrases, and error messages are made of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from bridge.errors import AppProtocolError, ProtocolError, ServerProtocolError

__all__ = ["HTTP_REQUEST", "HTTP_RESPONSE", "LIFESPAN", "WEBSOCKET", "Conversation", "State"]

State: TypeAlias = str
Sender = Literal["app", "server"]

_ERRORS: Mapping[Sender, type[ProtocolError]] = {
    "app": AppProtocolError,
    "server": ServerProtocolError,
}

_SERVER = frozenset(
    (
        "http.request",
        "http.disconnect",
        "lifespan.startup",
        "lifespan.shutdown",
        "websocket.connect",
        "websocket.receive",
        "websocket.disconnect",
    )
)
_EXTENSIONS = frozenset(
    (
        "http.response.debug",
        "http.response.early_hint",
        "http.response.pathsend",
        "http.response.push",
        "http.response.zerocopysend",
        "websocket.http.response.start",
    )
)

# type -> (the flag that splits it, without the flag, with it)
_SPLIT: Mapping[str, tuple[str, str, str]] = {
    kind: (flag, kind, f"{kind} with {flag}")
    for kind, flag in (
        ("http.request", "more_body"),
        ("http.response.start", "trailers"),
        ("http.response.body", "more_body"),
        ("http.response.zerocopysend", "more_body"),
        ("http.response.trailers", "more_trailers"),
        ("websocket.http.response.body", "more_body"),
    )
}


@dataclass(frozen=True, slots=True)
class Conversation:
    """One table: what may be said, in what order.

    :ivar name: of the conversation, for error messages.
    :ivar start: the first state.
    :ivar moves: state -> message -> next state.
    """

    name: str
    start: State
    moves: Mapping[State, Mapping[str, State]]

    def after(self, state: State, message: Mapping[str, Any], sender: Sender = "app") -> State:
        """The state after ``message``.

        :param sender: whose mistake it is if the message must not come now.
        :raises AppProtocolError: the app must not send this now.
        :raises ServerProtocolError: the server must not.
        """
        try:
            event: str = message["type"]
            split = _SPLIT.get(event)
            if split is not None:
                event = split[2] if message.get(split[0]) else split[1]
            return self.moves[state][event]
        except (KeyError, TypeError, AttributeError):
            raise self._error(state, message, sender) from None

    def _error(self, state: State, message: object, sender: Sender) -> ProtocolError:
        where = f"{self.name}: the {sender} sent"
        if not isinstance(message, Mapping) or not isinstance(message.get("type"), str):
            return _ERRORS[sender](
                f'{where} {message!r}; an ASGI message is a dict with a str under "type"'
            )
        allowed = " or ".join(_allowed(self.moves[state], sender)) or "nothing"
        return _ERRORS[sender](f"{where} {_event(message)} when {state}; allowed was {allowed}")


def _event(message: Mapping[str, Any]) -> str:
    kind: str = message["type"]
    split = _SPLIT.get(kind)
    if split is None:
        return kind
    return split[2] if message.get(split[0]) else split[1]


def _allowed(row: Mapping[str, State], sender: Sender) -> list[str]:
    """What this side may say, extensions left out: they need a server that offers them."""
    kinds = dict.fromkeys(event.partition(" ")[0] for event in row)
    return [
        kind
        for kind in kinds
        if (kind in _SERVER) == (sender == "server") and kind not in _EXTENSIONS
    ]


def _unchanged(*messages: str, state: State) -> dict[str, State]:
    """Messages that change nothing."""
    return dict.fromkeys(messages, state)


# -- http: https://asgi.readthedocs.io/en/latest/specs/www.html ------------------------------------

_NO_BODY_YET = "the request body is still to come"
_BODY_READ = "the request body is complete"
_GONE = "the client is gone"

HTTP_REQUEST = Conversation(
    "http request",
    _NO_BODY_YET,
    {
        _NO_BODY_YET: {
            "http.request with more_body": _NO_BODY_YET,
            "http.request": _BODY_READ,
            "http.disconnect": _GONE,
        },
        _BODY_READ: {"http.disconnect": _GONE},
        _GONE: {"http.disconnect": _GONE},
    },
)
"""What a server's ``receive()`` may return, one after the other."""

_IDLE = "no response has started"
_HEAD = "the response has started"
_BODY = "the body is incomplete"
_HEAD_T = "the response has started, with trailers announced"
_BODY_T = "the body is incomplete, with trailers announced"
_TRAILERS = "the body is complete and trailers are due"
_COMPLETE = "the response is complete"


def _body_moves(more: State, last: State) -> dict[str, State]:
    return {
        "http.response.body with more_body": more,
        "http.response.body": last,
        "http.response.zerocopysend with more_body": more,
        "http.response.zerocopysend": last,
    }


HTTP_RESPONSE = Conversation(
    "http response",
    _IDLE,
    {
        _IDLE: {
            "http.response.start": _HEAD,
            "http.response.start with trailers": _HEAD_T,
            **_unchanged(
                "http.response.early_hint",
                "http.response.push",
                "http.response.debug",
                state=_IDLE,
            ),
        },
        _HEAD: {
            **_body_moves(_BODY, _COMPLETE),
            "http.response.pathsend": _COMPLETE,
            **_unchanged("http.response.push", state=_HEAD),
        },
        _BODY: {**_body_moves(_BODY, _COMPLETE), **_unchanged("http.response.push", state=_BODY)},
        _HEAD_T: {
            **_body_moves(_BODY_T, _TRAILERS),
            "http.response.pathsend": _TRAILERS,
            **_unchanged("http.response.push", state=_HEAD_T),
        },
        _BODY_T: {
            **_body_moves(_BODY_T, _TRAILERS),
            **_unchanged("http.response.push", state=_BODY_T),
        },
        _TRAILERS: {
            "http.response.trailers with more_trailers": _TRAILERS,
            "http.response.trailers": _COMPLETE,
        },
        _COMPLETE: {},
    },
)
"""What an app may ``send()`` for an http scope, extensions included."""

# -- websocket: one table for both sides -----------------------------------------------------------

_OPENING = "the WebSocket has not been connected"
_HANDSHAKE = "the handshake waits for an answer"
_OPEN = "the WebSocket is open"
_DENIAL = "the handshake is being denied"
_DENIAL_BODY = "the body of the denial is incomplete"
_CLOSED = "the WebSocket is closed"

WEBSOCKET = Conversation(
    "websocket",
    _OPENING,
    {
        _OPENING: {"websocket.connect": _HANDSHAKE},
        _HANDSHAKE: {
            "websocket.accept": _OPEN,
            "websocket.close": _CLOSED,
            "websocket.http.response.start": _DENIAL,
            "websocket.disconnect": _GONE,
        },
        _OPEN: {
            "websocket.receive": _OPEN,
            "websocket.send": _OPEN,
            "websocket.close": _CLOSED,
            "websocket.disconnect": _GONE,
        },
        _DENIAL: {
            "websocket.http.response.body with more_body": _DENIAL_BODY,
            "websocket.http.response.body": _CLOSED,
            "websocket.disconnect": _GONE,
        },
        _DENIAL_BODY: {
            "websocket.http.response.body with more_body": _DENIAL_BODY,
            "websocket.http.response.body": _CLOSED,
            "websocket.disconnect": _GONE,
        },
        _CLOSED: {"websocket.disconnect": _GONE},
        _GONE: {"websocket.disconnect": _GONE},
    },
)
"""A WebSocket, seen from either side."""

# -- lifespan: one table for both sides ------------------------------------------------------------

_ASLEEP = "the app has not been started"
_STARTING = "the app is starting up"
_RUNNING = "the app is running"
_STOPPING = "the app is shutting down"
_ENDED = "the lifespan has ended"

LIFESPAN = Conversation(
    "lifespan",
    _ASLEEP,
    {
        _ASLEEP: {"lifespan.startup": _STARTING},
        _STARTING: {
            "lifespan.startup.complete": _RUNNING,
            "lifespan.startup.failed": _ENDED,
        },
        # Starlette says so unasked, when a lifespan ends that should not have.
        _RUNNING: {"lifespan.shutdown": _STOPPING, "lifespan.shutdown.failed": _ENDED},
        _STOPPING: {
            "lifespan.shutdown.complete": _ENDED,
            "lifespan.shutdown.failed": _ENDED,
        },
        _ENDED: {},
    },
)
"""An app's startup and shutdown, seen from either side."""
