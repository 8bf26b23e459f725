"""Which ASGI message may follow which, as tables. Pure; any thread.

:meth:`Conversation.after` takes the current state and the next message of the app or the server,
and returns the next state; or raises a :class:`~bridge.errors.ProtocolError` that names the sender,
the message, the state, and what was allowed.

Each table has a row for every state: the messages that are allowed in it, and the state that each
leads to. A message with two meanings has two entries: ``http.response.body`` ends the response
unless ``more_body`` is true. States are phrases, from which error messages are made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from bridge._http.client_text import ClientText, one_line
from bridge.errors import AppProtocolError, ProtocolError, ServerProtocolError

__all__ = ["HTTP_RESPONSE", "LIFESPAN", "WEBSOCKET", "Conversation", "State"]

State: TypeAlias = str
Sender = Literal["app", "server"]

_ERRORS: Mapping[Sender, type[ProtocolError]] = {
    "app": AppProtocolError,
    "server": ServerProtocolError,
}

_SERVER = frozenset(
    (
        "lifespan.startup",
        "lifespan.shutdown",
    )
)
_EXTENSIONS = frozenset(
    (
        "http.response.debug",
        "http.response.early_hint",
        "http.response.pathsend",
        "http.response.push",
        "http.response.zerocopysend",
    )
)

# type -> (the flag that splits it, without the flag, with it)
_SPLIT: Mapping[str, tuple[str, str, str]] = {
    kind: (flag, kind, f"{kind} with {flag}")
    for kind, flag in (
        ("http.response.start", "trailers"),
        ("http.response.body", "more_body"),
        ("http.response.zerocopysend", "more_body"),
        ("http.response.trailers", "more_trailers"),
        ("websocket.http.response.body", "more_body"),
    )
}


@dataclass(frozen=True, slots=True)
class Conversation:
    """One table: which messages are allowed, in what order.

    :ivar name: of the conversation, for error messages.
    :ivar start: the first state.
    :ivar moves: state -> message -> next state.
    """

    name: str
    start: State
    moves: Mapping[State, Mapping[str, State]]

    def after(self, state: State, message: Mapping[str, Any], sender: Sender = "app") -> State:
        """The state after ``message``.

        :param sender: who sent it, so whose mistake it is if it is not allowed now.
        :raises AppProtocolError: the app must not send it now.
        :raises ServerProtocolError: the server must not send it now.
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
                f'{where} {_shape(message)}; an ASGI message is a dict with a str under "type"'
            )
        allowed = " or ".join(_allowed(self.moves[state], sender)) or "nothing"
        return _ERRORS[sender](f"{where} {_event(message)} when {state}; allowed was {allowed}")


def _shape(message: object) -> str:
    """What was sent in place of a message. Not its values: its headers may contain cookies."""
    if isinstance(message, Mapping):
        keys = ", ".join(map(str, message)) or "(none)"
        return f"a dict with the keys {one_line(keys)}"
    return type(message).__name__


def _event(message: Mapping[str, Any]) -> str:
    kind: str = message["type"]
    split = _SPLIT.get(kind)
    if split is None:
        return str(ClientText(kind))
    return split[2] if message.get(split[0]) else split[1]


def _allowed(row: Mapping[str, State], sender: Sender) -> list[str]:
    """The messages that this side may send, without extensions, which not every server offers."""
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

# -- websocket -------------------------------------------------------------------------------------

_UNDECIDED = "the WebSocket is not accepted yet"
_OPEN = "the WebSocket is open"
_DENYING = "the response that denies the WebSocket is incomplete"
_DENIED = "the WebSocket is denied"
_CLOSED = "the app has closed the WebSocket"

WEBSOCKET = Conversation(
    "websocket",
    _UNDECIDED,
    {
        _UNDECIDED: {
            "websocket.accept": _OPEN,
            "websocket.close": _DENIED,
            "websocket.http.response.start": _DENYING,
        },
        _OPEN: {"websocket.send": _OPEN, "websocket.close": _CLOSED},
        _DENYING: {
            "websocket.http.response.body with more_body": _DENYING,
            "websocket.http.response.body": _DENIED,
        },
        _DENIED: {},
        _CLOSED: {},
    },
)
"""What an app may ``send()`` for a websocket scope, with the extension for denial responses."""

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
        # Starlette sends it unprompted, when a lifespan ends that should not have.
        _RUNNING: {"lifespan.shutdown": _STOPPING, "lifespan.shutdown.failed": _ENDED},
        _STOPPING: {
            "lifespan.shutdown.complete": _ENDED,
            "lifespan.shutdown.failed": _ENDED,
        },
        _ENDED: {},
    },
)
"""An app's startup and shutdown, seen from either side."""
