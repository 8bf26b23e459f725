"""``http.response.start`` -> what ``start_response`` takes; ``http.response.early_hint`` -> what
``wsgi.early_hints`` takes. Pure; runs on any thread.

What enters: an int and an iterable of byte pairs, as an ASGI app sends them. What leaves: a
:class:`WsgiHead` of a status line and native strings (PEP 3333). Everything that could split a
response is refused, as an :class:`AppProtocolError` that names it. Hop-by-hop fields are left out:
under an ASGI server an app may send ``connection: close``, but PEP 3333 forbids it here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from bridge._http.headers import HOP_BY_HOP
from bridge.errors import AppProtocolError
from bridge.types import Message, ResponseHeaders

__all__ = ["WsgiHead", "make_hints", "make_wsgi_head", "status_line"]

CACHE_SIZE = 1024
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CLASSES = {2: "Success", 3: "Redirection", 4: "Client Error", 5: "Server Error"}
_BODYLESS = (204, 304)

_lines: dict[int, str] = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
_names: dict[bytes, str | None] = {}


class WsgiHead:
    """The head of a response, checked.

    :ivar status: such as ``"200 OK"``.
    :ivar content_length: of the body, in bytes; None where the app did not say.
    :ivar bodyless: 204 and 304 responses have no body, whatever the app sends.
    """

    __slots__ = ("bodyless", "content_length", "headers", "status")

    def __init__(
        self, status: str, headers: ResponseHeaders, content_length: int | None, bodyless: bool
    ) -> None:
        self.status = status
        self.headers = headers
        self.content_length = content_length
        self.bodyless = bodyless


def make_wsgi_head(message: Message) -> WsgiHead:
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
            value = raw_value.decode("latin-1").strip(" \t")
        except (KeyError, TypeError, ValueError, AttributeError):
            name, value = _parse_field(item)
        if name is None:
            continue
        if not value.isprintable():
            _check_value("http.response.start", name, value)
        if name == "content-length":
            seen, length = length, _parse_length(value, length)
            if seen is not None:
                continue  # the same once more (RFC 9110, 8.6)
        headers.append((name, value))
    bodyless = code in _BODYLESS
    if bodyless and length is not None:
        headers = [field for field in headers if field[0] != "content-length"]
        length = None
    return WsgiHead(_lines.get(code) or status_line(code), headers, length, bodyless)


def make_hints(message: Message) -> ResponseHeaders:
    """Check an ``http.response.early_hint`` message, and decode it: one ``Link`` for each link.

    :raises AppProtocolError: it is no iterable of bytes, or a link would split the response.
    """
    links = message.get("links")
    if isinstance(links, (bytes, str)) or not isinstance(links, Iterable):
        raise _no_links(links)
    headers: ResponseHeaders = []
    for link in links:
        if not isinstance(link, (bytes, bytearray, memoryview)):
            raise _no_links(links)
        value = bytes(link).decode("latin-1").strip(" \t")
        _check_value(message["type"], "link", value)
        headers.append(("Link", value))
    return headers


def _no_links(links: object) -> AppProtocolError:
    return AppProtocolError(
        f"http.response.early_hint: links is {links!r}; the ASGI spec asks for an iterable of bytes"
    )


def status_line(code: int) -> str:
    """``404`` -> ``"404 Not Found"``; a code that is not registered gets its class for a phrase."""
    return _lines.get(code) or f"{code} {_CLASSES.get(code // 100, 'Unknown')}"


def _check_status(code: object) -> int:
    if isinstance(code, int) and not isinstance(code, bool) and 200 <= code <= 999:
        return int(code)  # http.HTTPStatus
    raise AppProtocolError(
        f"http.response.start: status is {code!r}; the ASGI spec asks for an int, of 200 to 999"
    )


def _iterable(headers: Any) -> Iterable[Any]:
    try:
        items: Iterable[Any] = iter(headers)
    except TypeError:
        raise AppProtocolError(
            f"http.response.start: headers is {headers!r}; the ASGI spec asks for an iterable of "
            "[name, value] pairs of bytes"
        ) from None
    return items


def _parse_field(item: object) -> tuple[str | None, str]:
    """A field whose name has not been seen before, or that is not one at all."""
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        raise AppProtocolError(
            f"http.response.start: header {item!r}; the ASGI spec asks for a [name, value] pair"
        )
    raw_name, raw_value = (
        bytes(part) if isinstance(part, (bytearray, memoryview)) else part for part in item
    )
    if not isinstance(raw_name, bytes) or not isinstance(raw_value, bytes):
        raise AppProtocolError(
            f"http.response.start: header {item!r}; the ASGI spec asks for bytes, "
            "such as (b'content-type', b'text/plain')"
        )
    if _TOKEN.fullmatch(raw_name) is None:
        raise AppProtocolError(
            f"http.response.start: header name {raw_name!r}; RFC 9110 allows letters, digits and "
            "!#$%&'*+-.^_`|~"
        )
    hop_by_hop = raw_name.lower() in HOP_BY_HOP
    name = None if hop_by_hop else raw_name.decode("latin-1")
    if name is not None and name.lower() == "content-length":
        name = "content-length"
    if len(_names) < CACHE_SIZE:
        _names[raw_name] = name
    return name, raw_value.decode("latin-1").strip(" \t")


def _check_value(kind: str, name: str, value: str) -> None:
    if "\r" in value or "\n" in value or "\0" in value:
        raise AppProtocolError(
            f"{kind}: value of header {name!r} is {value!r}; CR, LF and NUL are not allowed in it"
        )


def _parse_length(value: str, seen: int | None) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 20):
        raise AppProtocolError(f"http.response.start: content-length {value!r} is not a number")
    length = int(value)
    if seen is not None and seen != length:
        raise AppProtocolError(f"http.response.start: content-length is both {seen} and {length}")
    return length
