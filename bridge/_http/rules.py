"""Rules of HTTP that hold in both directions: lengths, names and values of header fields.

Pure; any thread. A check returns what it found, or None or False; the caller raises, because only
the caller knows whose mistake it is: :exc:`BadRequest` for a client's, ``AppProtocolError`` for an
app's. Values are latin-1 decoded ``str`` (PEP 3333) or ``bytes`` (ASGI).
"""

from __future__ import annotations

import re

from bridge._http.client_text import literal
from bridge.errors import AppProtocolError, BridgeError

__all__ = [
    "BODYLESS",
    "HOP_BY_HOP",
    "OWS",
    "BadRequest",
    "LengthRequired",
    "has_control_character",
    "is_token",
    "left_after",
    "parse_length",
    "request_length",
    "too_long",
    "too_short",
]

BODYLESS = (204, 304)
"""Statuses without a body, whatever the app sends (RFC 9110, 6.4.1)."""

HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"trailers",
        b"transfer-encoding",
        b"upgrade",
    )
)
"""RFC 9110, 7.6.1: these belong to one connection, so to the server (PEP 3333, "Other HTTP
Features")."""

OWS = " \t"
"""Optional whitespace around the value of a header, which is not part of it (RFC 9110, 5.5). Some
servers pass it on."""

_MAX_DIGITS = 19  # of 2**63
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


class BadRequest(BridgeError):
    """The request cannot be translated without guessing. Answered with 400, never logged."""


class LengthRequired(BadRequest):
    """A chunked body, and the server cannot report where it ends. Answered with 411."""


def parse_length(value: str | bytes) -> int | None:
    """The number of bytes in a Content-Length; None if it is not a plain decimal number."""
    if value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS:
        return int(value)
    return None


def request_length(value: str) -> int:
    """The number of bytes in the Content-Length of a request, with or without space around it.

    :raises BadRequest: it is not a plain decimal number.
    """
    length = parse_length(value.strip(OWS))
    if length is None:
        raise BadRequest(f"Content-Length {literal(value)} is not a number of bytes")
    return length


def left_after(size: int, left: int) -> int:
    """What remains of a Content-Length after ``size`` more bytes of the body.

    :param left: what remained before.
    :raises AppProtocolError: the body is longer.
    """
    if size > left:
        raise too_long(size, left)
    return left - size


def too_long(size: int, left: int) -> AppProtocolError:
    """The error of ``size`` bytes of a body where its Content-Length has room for ``left``."""
    return AppProtocolError(
        f"the body is longer than its Content-Length: got {size} bytes where {left} were left"
    )


def too_short(left: int) -> AppProtocolError:
    """The error of a body that ends before its Content-Length, ``left`` bytes early."""
    return AppProtocolError(
        f"the body is shorter than its Content-Length: {left} bytes are missing"
    )


def is_token(name: str) -> bool:
    """Whether ``name`` is a header name (RFC 9110, 5.6.2)."""
    return _TOKEN.fullmatch(name) is not None


def has_control_character(value: str) -> bool:
    """Whether ``value`` has a control character other than HTAB (RFC 9110, 5.5).

    CR, LF and NUL could split a response. Some servers refuse the others only when they write the
    head, and close the connection without an answer.
    """
    return _CONTROL.search(value) is not None
