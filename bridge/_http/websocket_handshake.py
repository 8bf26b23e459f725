"""The opening handshake of a WebSocket, from the server's side (RFC 6455, 4.2). Pure; any thread.

Input: the environ of a request that asks for a WebSocket. Output: why it is refused, if it is; or
the bytes of the response that opens the WebSocket. Frames are no part of this module.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bridge._http.client_text import ClientText, literal
from bridge._http.response_heads import head_for_wsgi
from bridge._http.rules import OWS, is_token
from bridge.errors import AppProtocolError
from bridge.types import Environ, Message, ResponseHeaders

__all__ = ["Refusal", "handshake_response", "raw_head", "refusal_of", "subprotocols"]

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_VERSION = "13"
_OF_THE_HANDSHAKE = frozenset(
    (
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-protocol",
        "sec-websocket-version",
    )
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A response in place of the WebSocket.

    :ivar text: of the body.
    """

    status: int
    text: str
    headers: tuple[tuple[str, str], ...] = ()


def refusal_of(environ: Environ, origins: Iterable[str] | None) -> Refusal | None:
    """Why the handshake is malformed or not allowed; None if it is neither.

    :param origins: which values of ``Origin`` are accepted, None for all. A request without one is
        from no browser, and is not concerned (RFC 6455, 10.2).
    """
    version = environ.get("HTTP_SEC_WEBSOCKET_VERSION", "").strip(OWS)
    if version != _VERSION:
        text = f"Sec-WebSocket-Version is {ClientText(version)}; this server supports 13\n"
        return Refusal(426, text, (("sec-websocket-version", _VERSION),))
    if not _is_key(environ.get("HTTP_SEC_WEBSOCKET_KEY", "").strip(OWS)):
        return Refusal(400, "Sec-WebSocket-Key is not 16 bytes in base64\n")
    origin = environ.get("HTTP_ORIGIN")
    if origins is not None and origin is not None and origin.strip(OWS).lower() not in origins:
        return Refusal(403, "This origin may not open the WebSocket\n")
    return None


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def subprotocols(environ: Environ) -> list[str]:
    """The subprotocols that the client offers, in its order. Elements that are no token, which RFC
    6455 does not allow, are left out."""
    offered = environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "").split(",")
    return [name for name in (each.strip(OWS) for each in offered) if is_token(name)]


# -- responses -------------------------------------------------------------------------------------


def handshake_response(environ: Environ, message: Message, extensions: str | None) -> bytes:
    """The head with which the server switches to the WebSocket protocol.

    :param message: ``websocket.accept``.
    :param extensions: what was negotiated, as a header value.
    :raises AppProtocolError: the subprotocol is no token, or a header is malformed or belongs to
        the handshake.
    """
    headers = _checked_headers(message)
    fields = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", _accept(environ["HTTP_SEC_WEBSOCKET_KEY"].strip(OWS))),
    ]
    if extensions is not None:
        fields.append(("Sec-WebSocket-Extensions", extensions))
    subprotocol = message.get("subprotocol")
    if subprotocol is not None:
        if not isinstance(subprotocol, str) or not is_token(subprotocol):
            raise AppProtocolError(
                f"websocket.accept: subprotocol is {literal(subprotocol)}; RFC 6455 asks for a "
                "token, as in scope['subprotocols']"
            )
        fields.append(("Sec-WebSocket-Protocol", subprotocol))
    return _encoded("101 Switching Protocols", [*fields, *headers])


def _checked_headers(message: Message) -> ResponseHeaders:
    """The app's own headers. One of the handshake would contradict what the server sends."""
    headers = head_for_wsgi({**message, "status": 200}).headers
    for name, _ in headers:
        if name.lower() in _OF_THE_HANDSHAKE:
            raise AppProtocolError(
                f"websocket.accept: header {literal(name)} belongs to the handshake, which the "
                "server makes. Leave it out; a subprotocol has a key of its own"
            )
    return [field for field in headers if field[0].lower() != "content-length"]


def raw_head(status: str, headers: ResponseHeaders) -> bytes:
    """The head of a response after which the server closes the connection."""
    return _encoded(status, [*headers, ("Connection", "close")])


def _encoded(status: str, fields: Iterable[tuple[str, Any]]) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def _accept(key: str) -> str:
    """The answer to the client's key (RFC 6455, 4.2.2)."""
    digest = hashlib.sha1((key + _GUID).encode("ascii"), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode("ascii")
