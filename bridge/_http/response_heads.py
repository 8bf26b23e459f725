"""The head of a response, in both directions: checked, and encoded or decoded. Pure; any thread.

:func:`head_for_asgi` reads the arguments of ``start_response`` (PEP 3333): a status line and a list
of native strings. :func:`head_for_wsgi` reads an ``http.response.start`` message (ASGI HTTP spec):
an int and an iterable of byte pairs. Everything that could split a response or confuse a proxy
raises an :class:`~bridge.errors.AppProtocolError` that names it.

The directions differ in one rule. PEP 3333 forbids an app to set hop-by-hop headers, so they are an
error from a WSGI app. Under an ASGI server an app may send ``connection: close``, so they are left
out from an ASGI app.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Generic, TypeAlias, TypeVar

from bridge._http.client_text import literal
from bridge._http.learning_table import LearningTable
from bridge._http.rules import (
    BODYLESS,
    HOP_BY_HOP,
    OWS,
    has_control_character,
    is_token,
    parse_length,
)
from bridge.errors import AppProtocolError
from bridge.types import Message, RawHeaders, ResponseHeaders

__all__ = [
    "AsgiHead",
    "WsgiHead",
    "check_websocket_headers",
    "early_hints_for_wsgi",
    "head_for_asgi",
    "head_for_wsgi",
    "status_line",
]

StatusT = TypeVar("StatusT", int, str)
TextT = TypeVar("TextT", bytes, str)

_STATUS = re.compile(r"([2-9][0-9][0-9])(?: .*)?", re.DOTALL)
_CLASSES = {2: "Success", 3: "Redirection", 4: "Client Error", 5: "Server Error"}
_NO_CONTROL = "control characters other than HTAB are not allowed in it (RFC 9110, 5.5)"
_TOKEN_CHARACTERS = "RFC 9110 allows letters, digits and !#$%&'*+-.^_`|~"


@dataclasses.dataclass(slots=True)
class Head(Generic[StatusT, TextT]):
    """The head of a response.

    :ivar content_length: of the body, in bytes; None where the app has not set it.
    :ivar bodyless: 204 and 304 responses have no body, whatever the app sends.
    """

    status: StatusT
    headers: list[tuple[TextT, TextT]] = dataclasses.field(repr=False)  # such as cookies
    content_length: int | None
    bodyless: bool


AsgiHead: TypeAlias = Head[int, bytes]
"""For ``http.response.start``: lower-case names, latin-1 encoded."""

WsgiHead: TypeAlias = Head[str, str]
"""For ``start_response``: a status line such as ``"200 OK"``, and native strings."""


def status_line(code: int) -> str:
    """``404`` -> ``"404 Not Found"``; an unregistered code has the phrase of its class."""
    return _lines.get(code) or f"{code} {_CLASSES.get(code // 100, 'Unknown')}"


_lines: dict[int, str] = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}

# -- start_response -> http.response.start ---------------------------------------------------------

# Apps choose these texts, and may take them from the client.
_learned_names: LearningTable[str, bytes] = LearningTable()
_learned_fields: LearningTable[tuple[str, str], tuple[bytes, bytes]] = LearningTable()
_learned_statuses: LearningTable[str, int] = LearningTable()
_raw_names = _learned_names.entries
_fields = _learned_fields.entries  # most responses repeat most of these
_statuses = _learned_statuses.entries


def head_for_asgi(status: str, response_headers: ResponseHeaders) -> AsgiHead:
    """Check a status line and headers, and encode them.

    :raises AppProtocolError: naming what PEP 3333 does not allow.
    """
    code = _statuses.get(status) if type(status) is str else None
    if code is None:
        code = _parse_status(status)
    if not isinstance(response_headers, list):
        raise AppProtocolError(
            f"start_response(): response_headers is {type(response_headers).__name__}; "
            "PEP 3333 asks for a list of (name, value) tuples"
        )
    length: int | None = None
    headers: RawHeaders = []
    for item in response_headers:
        try:
            field = _fields[item]
        except (KeyError, TypeError):
            field = _encode_field(item)
        if field[0] == b"content-length":
            seen, length = length, _content_length("start_response()", field[1], length)
            if seen is not None:
                continue  # the same once more
        headers.append(field)
    bodyless = code in BODYLESS
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
    if match is None:
        raise AppProtocolError(
            f"start_response(): status {literal(status)}; PEP 3333 asks for a number from 200 to "
            '999 and a reason, such as "200 OK"'
        )
    if has_control_character(status):
        raise AppProtocolError(f"start_response(): status {literal(status)}; {_NO_CONTROL}")
    code = int(match[1])
    if type(status) is str:
        _learned_statuses.learn(status, code, len(status))
    return code


def _encode_field(item: Any) -> tuple[bytes, bytes]:
    """A header that has not been seen before, or that is not one at all; checked and encoded."""
    try:
        name, value = item
        raw_name = _raw_names[name]
    except (KeyError, TypeError, ValueError):
        name, raw_name, value = _parse_name(item)
    if type(value) is not str or not (value.isascii() and value.isprintable()):
        _check_native_value(raw_name, value)
    # RFC 9110, 5.5: space around a value is not part of it. Django up to 5.2 sets cookies so.
    field = (raw_name, value.strip(OWS).encode("latin-1"))
    if type(name) is type(value) is str and raw_name != b"set-cookie":
        _learned_fields.learn((name, value), field, len(name) + len(value))
    return field


def _parse_name(item: object) -> tuple[str, bytes, str]:
    """A header whose name has not been seen before, or that is not one at all."""
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        raise AppProtocolError(
            f"start_response(): a header is {_shape(item)}; PEP 3333 asks for a (name, value) tuple"
        )
    name, value = item
    if not isinstance(name, str):
        raise AppProtocolError(
            f"start_response(): header name {literal(name)}; PEP 3333 asks for str"
        )
    if not is_token(name):
        raise AppProtocolError(
            f"start_response(): header name {literal(name)}; {_TOKEN_CHARACTERS}"
        )
    raw_name = name.lower().encode("latin-1")
    if raw_name in HOP_BY_HOP:
        raise AppProtocolError(
            f"start_response(): header {literal(name)} is hop-by-hop. It belongs to the server, "
            "and PEP 3333 forbids an app to set it. Leave it out"
        )
    if type(name) is str:
        _learned_names.learn(name, raw_name, len(name))
    return name, raw_name, value


def _check_native_value(raw_name: bytes, value: object) -> None:
    where = f"start_response(): value of header {literal(raw_name.decode('latin-1'))}"
    if not isinstance(value, str):
        raise AppProtocolError(f"{where} is {type(value).__name__}; PEP 3333 asks for str")
    _check_value(where, value)
    try:
        value.encode("latin-1")
    except UnicodeEncodeError as error:
        raise AppProtocolError(
            f"{where} is {literal(value)}; PEP 3333 allows only latin-1 characters"
        ) from error


def _kind(value: object) -> str:
    return f"{literal(value)}, {type(value).__name__}"


# -- http.response.start -> start_response ---------------------------------------------------------

_learned_raw_names: LearningTable[bytes, str | None] = LearningTable()
_names = _learned_raw_names.entries  # None: hop-by-hop


def head_for_wsgi(message: Message) -> WsgiHead:
    """Check an ``http.response.start`` message, and decode it.

    :raises AppProtocolError: naming what the ASGI spec does not allow.
    """
    code = message.get("status")
    if type(code) is not int or not 200 <= code <= 999:
        code = _check_status(code)
    fields = message.get("headers", ())
    if type(fields) is not list:
        fields = _iterable(fields)
    headers: ResponseHeaders = []
    length: int | None = None
    for item in fields:
        try:
            raw_name, raw_value = item
            name = _names[raw_name]
            value = raw_value.decode("latin-1").strip(OWS)
        except (KeyError, TypeError, ValueError, AttributeError):
            name, value = _decode_field(item)
        if name is None:
            continue
        if not value.isprintable():
            _check_value(f"http.response.start: value of header {literal(name)}", value)
        if name == "content-length":
            seen, length = length, _content_length("http.response.start", value, length)
            if seen is not None:
                continue  # the same once more (RFC 9110, 8.6)
        headers.append((name, value))
    bodyless = code in BODYLESS
    if bodyless and length is not None:
        headers = [field for field in headers if field[0] != "content-length"]
        length = None
    return Head(_lines.get(code) or status_line(code), headers, length, bodyless)


def early_hints_for_wsgi(message: Message) -> ResponseHeaders:
    """Check an ``http.response.early_hint`` message, and decode it: one ``Link`` for each link.

    :raises AppProtocolError: it is not an iterable of bytes, or a link would split the response.
    """
    links = message.get("links")
    if isinstance(links, (bytes, str)) or not isinstance(links, Iterable):
        raise _not_links(links)
    headers: ResponseHeaders = []
    for link in links:
        if not isinstance(link, (bytes, bytearray, memoryview)):
            raise _not_links(links)
        value = bytes(link).decode("latin-1").strip(OWS)
        _check_value(f"{message['type']}: value of header 'link'", value)
        headers.append(("Link", value))
    return headers


def _not_links(links: object) -> AppProtocolError:
    return AppProtocolError(
        f"http.response.early_hint: links is {literal(links)}; the ASGI spec asks for an "
        "iterable of bytes"
    )


def _check_status(code: object) -> int:
    if isinstance(code, int) and not isinstance(code, bool) and 200 <= code <= 999:
        return int(code)  # http.HTTPStatus
    raise AppProtocolError(
        f"http.response.start: status is {literal(code)}; the ASGI spec asks for an int from 200 "
        "to 999"
    )


def _iterable(headers: Any) -> Iterable[Any]:
    try:
        items: Iterable[Any] = iter(headers)
    except TypeError:
        raise AppProtocolError(
            f"http.response.start: headers is {type(headers).__name__}; the ASGI spec asks for an "
            "iterable of [name, value] pairs of bytes"
        ) from None
    return items


def _decode_field(item: object) -> tuple[str | None, str]:
    """A field whose name has not been seen before, or that is not one at all."""
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        raise AppProtocolError(
            f"http.response.start: a header is {_shape(item)}; "
            "the ASGI spec asks for a [name, value] pair"
        )
    raw_name, raw_value = (
        bytes(part) if isinstance(part, (bytearray, memoryview)) else part for part in item
    )
    if not isinstance(raw_name, bytes) or not isinstance(raw_value, bytes):
        raise AppProtocolError(
            f"http.response.start: header {literal(raw_name)} is {type(raw_name).__name__} and its "
            f"value {type(raw_value).__name__}; the ASGI spec asks for bytes, "
            "such as (b'content-type', b'text/plain')"
        )
    name: str | None = raw_name.decode("latin-1")
    if not is_token(name or ""):
        raise AppProtocolError(
            f"http.response.start: header name {literal(raw_name)}; {_TOKEN_CHARACTERS}"
        )
    if raw_name.lower() in HOP_BY_HOP:
        name = None
    elif raw_name.lower() == b"content-length":
        name = "content-length"
    _learned_raw_names.learn(bytes(raw_name), name, len(raw_name))
    return name, raw_value.decode("latin-1").strip(OWS)


# -- the handshake of a WebSocket ------------------------------------------------------------------


def check_websocket_headers(headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """Check the headers with which an app accepts a WebSocket on its socket. They are parsed, so
    the names are tokens.

    :raises AppProtocolError: a value has a control character.
    """
    checked: RawHeaders = []
    for name, value in headers:
        where = f"WebSocket handshake of the app: value of header {literal(name.decode('latin-1'))}"
        _check_value(where, value.decode("latin-1"))
        checked.append((bytes(name), bytes(value)))
    return checked


# -- both ------------------------------------------------------------------------------------------


def _shape(item: object) -> str:
    """What an app has sent in place of a header. Not its value, which may be a cookie."""
    kind = type(item).__name__
    return f"a {kind} of {len(item)}" if isinstance(item, (tuple, list)) else kind


def _check_value(where: str, value: str) -> None:
    if has_control_character(value):
        raise AppProtocolError(f"{where} is {literal(value)}; {_NO_CONTROL}")


def _content_length(where: str, value: str | bytes, seen: int | None) -> int:
    """
    :param seen: the one that came before.
    """
    length = parse_length(value)
    if length is None:
        text = value if isinstance(value, str) else value.decode("latin-1")
        raise AppProtocolError(f"{where}: Content-Length {literal(text)} is not a number")
    if seen is not None and seen != length:
        raise AppProtocolError(f"{where}: Content-Length is both {seen} and {length}")
    return length
