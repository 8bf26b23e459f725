"""What ``start_response`` was given -> the head of an ASGI response. Pure; runs on any thread.

What enters: a status line and a list of native strings (PEP 3333). What leaves: a :class:`Head` of
an int and latin-1 bytes with lower-case names (ASGI HTTP spec). Everything that could split a
response or confuse a proxy is refused here, as an :class:`AppProtocolError` that names it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from bridge.errors import AppProtocolError
from bridge.types import RawHeaders, ResponseHeaders

__all__ = ["HOP_BY_HOP", "Head", "make_head"]

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

CACHE_SIZE = 1024
CACHED_VALUE = 64
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_STATUS = re.compile(r"([2-9][0-9][0-9])(?: .*)?", re.DOTALL)
_names: dict[str, bytes] = {}
_fields: dict[tuple[str, str], tuple[bytes, bytes]] = {}  # most responses repeat most of these
_statuses: dict[str, int] = {}


@dataclass(slots=True)
class Head:
    """The head of a response, checked.

    :ivar content_length: of the body, in bytes; None where the app did not say.
    :ivar bodyless: 204 and 304 responses have no body, whatever the app yields.
    """

    status: int
    headers: RawHeaders
    content_length: int | None
    bodyless: bool


def make_head(status: str, response_headers: ResponseHeaders) -> Head:
    """Check a status line and headers, and encode them.

    :raises AppProtocolError: naming what PEP 3333 does not allow.
    """
    code = _statuses.get(status) if type(status) is str else None
    if code is None:
        code = _parse_status(status)
    if not isinstance(response_headers, list):
        raise AppProtocolError(
            f"start_response(): response_headers is {_kind(response_headers)}; "
            "PEP 3333 asks for a list of (name, value) tuples"
        )
    length: int | None = None
    headers: RawHeaders = []
    for item in response_headers:
        try:
            field = _fields[item]
        except (KeyError, TypeError):
            field = _make_field(item)
        if field[0] == b"content-length":
            said, length = length, _parse_length(field[1], length)
            if said is not None:
                continue  # the same, once more
        headers.append(field)
    bodyless = code == 204 or code == 304
    if bodyless and length is not None:
        headers = [pair for pair in headers if pair[0] != b"content-length"]
        length = None
    return Head(code, headers, length, bodyless)


def _parse_status(status: object) -> int:
    if not isinstance(status, str):
        raise AppProtocolError(
            f"start_response(): status is {_kind(status)}; PEP 3333 asks for str"
        )
    match = _STATUS.fullmatch(status)
    if match is None or not (status.isprintable() or _is_clean(status)):
        raise AppProtocolError(
            f"start_response(): status {status!r}; PEP 3333 asks for a number from 200 to 999 "
            'and a reason, such as "200 OK"'
        )
    code = int(match[1])
    if len(_statuses) < CACHE_SIZE:
        _statuses[status] = code
    return code


def _make_field(item: Any) -> tuple[bytes, bytes]:
    """A header that has not been seen before, or that is none at all; checked and encoded."""
    try:
        name, value = item
        raw_name = _names[name]
    except (KeyError, TypeError, ValueError):
        name, raw_name, value = _parse_name(item)
    if type(value) is not str or not (value.isascii() and value.isprintable()):
        _check_value(raw_name, value)
    # RFC 9110, 5.5: space around a value is not part of it. Django up to 5.2 sets cookies so.
    field = (raw_name, value.strip(" \t").encode("latin-1"))
    if len(value) <= CACHED_VALUE and raw_name != b"set-cookie" and len(_fields) < CACHE_SIZE:
        _fields[name, value] = field
    return field


def _parse_name(item: object) -> tuple[str, bytes, str]:
    """A header whose name has not been seen before, or that is none at all."""
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        raise AppProtocolError(
            f"start_response(): header {item!r}; PEP 3333 asks for a (name, value) tuple"
        )
    name, value = item
    if not isinstance(name, str):
        raise AppProtocolError(f"start_response(): header name {name!r}; PEP 3333 asks for str")
    if _TOKEN.fullmatch(name) is None:
        raise AppProtocolError(
            f"start_response(): header name {name!r}; RFC 9110 allows letters, digits and "
            "!#$%&'*+-.^_`|~"
        )
    raw_name = name.lower().encode("latin-1")
    if raw_name in HOP_BY_HOP:
        raise AppProtocolError(
            f"start_response(): header {name!r} is hop-by-hop: it is the server's, and PEP 3333 "
            "forbids an app to set it. Leave it out"
        )
    if len(_names) < CACHE_SIZE:
        _names[name] = raw_name
    return name, raw_name, value


def _check_value(raw_name: bytes, value: object) -> None:
    where = f"start_response(): value of header {raw_name.decode('latin-1')!r}"
    if not isinstance(value, str):
        raise AppProtocolError(f"{where} is {_kind(value)}; PEP 3333 asks for str")
    if not _is_clean(value):
        raise AppProtocolError(f"{where} is {value!r}; CR, LF and NUL are not allowed in it")
    try:
        value.encode("latin-1")
    except UnicodeEncodeError as error:
        raise AppProtocolError(
            f"{where} is {value!r}; PEP 3333 allows only latin-1 characters"
        ) from error


def _is_clean(text: str) -> bool:
    return "\r" not in text and "\n" not in text and "\0" not in text


def _parse_length(value: bytes, seen: int | None) -> int:
    if not (value.isdigit() and len(value) < 20):
        text = value.decode("latin-1")
        raise AppProtocolError(f"start_response(): Content-Length {text!r} is not a number")
    length = int(value)
    if seen is not None and seen != length:
        raise AppProtocolError(f"start_response(): Content-Length is both {seen} and {length}")
    return length


def _kind(value: object) -> str:
    return f"{value!r}, {type(value).__name__}"
