"""Sends raw bytes on a connection of its own, and reads what comes back, strictly.

Input: the bytes of two requests. Output: an :class:`Answer`. Ordinary clients accept more than they
should; here a control character, a wrong length or a byte too many is a fault.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from tests.harness.http import HOST

__all__ = ["Answer", "Malformed", "Reply", "exchange"]

DEADLINE_S = 30.0
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*)?")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
_BODYLESS = (204, 304)


class Malformed(Exception):
    """The bytes are no HTTP response."""


@dataclass(frozen=True)
class Reply:
    """One response.

    :ivar framing: what ends the body: ``length``, ``chunked``, ``close`` or ``none``.
    :ivar closes: whether it has ``Connection: close``.
    :ivar names: of the header fields, in lower case.
    """

    status: int
    framing: str
    closes: bool
    body: bytes
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What came back on a connection.

    :ivar replies: the complete final responses.
    :ivar cut: the connection ended within a response.
    :ivar fault: why the bytes are no well-formed responses.
    :ivar closed: the server has closed the connection; otherwise it was waiting for more.
    """

    replies: tuple[Reply, ...]
    cut: bool = False
    fault: str | None = None
    closed: bool = True
    data: bytes = b""

    @property
    def statuses(self) -> list[int]:
        return [reply.status for reply in self.replies]


def exchange(port: int, data: bytes, quiet_s: float, are_heads: Sequence[bool]) -> Answer:
    """Send ``data`` and read until the server closes, or until nothing comes for ``quiet_s``.

    :param are_heads: for each request, whether it is a HEAD request.
    """
    received = bytearray()
    closed = True
    with socket.create_connection((HOST, port), timeout=DEADLINE_S) as connection:
        try:
            connection.sendall(data)
        except ConnectionError:
            pass  # the server has answered and closed before it read everything
        connection.settimeout(quiet_s)
        try:
            while part := connection.recv(65536):
                received += part
        except TimeoutError:
            closed = False
        except ConnectionError:
            pass
    return _parsed(bytes(received), closed, are_heads)


def _parsed(data: bytes, closed: bool, are_heads: Sequence[bool]) -> Answer:
    replies: list[Reply] = []
    rest = data
    try:
        for is_head in are_heads:
            while True:
                if not rest:
                    return Answer(tuple(replies), closed=closed, data=data)
                reply, rest = _reply(rest, is_head, closed)
                if reply.status >= 200 or reply.status == 101:
                    break
            replies.append(reply)
            if reply.status == 101:  # what follows is another protocol
                return Answer(tuple(replies), closed=closed, data=data)
        if rest:
            raise Malformed(f"bytes after the last response: {rest[:100]!r}")
    except EOFError:
        return Answer(tuple(replies), cut=True, closed=closed, data=data)
    except Malformed as fault:
        return Answer(tuple(replies), fault=str(fault), closed=closed, data=data)
    return Answer(tuple(replies), closed=closed, data=data)


def _reply(data: bytes, is_head: bool, closed: bool) -> tuple[Reply, bytes]:
    """The first response, and the bytes after it."""
    head, separator, rest = data.partition(b"\r\n\r\n")
    if not separator:
        raise EOFError
    status_line, *lines = head.split(b"\r\n")
    found = _STATUS.fullmatch(status_line)
    if found is None:
        raise Malformed(f"status line {status_line[:100]!r}")
    fields = [_field(line) for line in lines]
    status = int(found[1])
    closes = any(name == b"connection" and value.lower() == b"close" for name, value in fields)
    framing, body, rest = _body(status, fields, rest, is_head, closed)
    names = tuple(name.decode("ascii") for name, _ in fields)
    return Reply(status, framing, closes, body, names), rest


def _field(line: bytes) -> tuple[bytes, bytes]:
    found = _FIELD.fullmatch(line)
    if found is None:
        raise Malformed(f"header field {line[:100]!r}")
    return found[1].lower(), found[2].rstrip(b" \t")


def _body(
    status: int, fields: list[tuple[bytes, bytes]], rest: bytes, is_head: bool, closed: bool
) -> tuple[str, bytes, bytes]:
    """How the body is framed, the body, and what follows it (RFC 9112, 6.3)."""
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    if len(lengths) > 1 or len(codings) > 1 or (lengths and codings):
        raise Malformed(f"ambiguous framing: {lengths} {codings}")
    if lengths and not lengths[0].isdigit():
        raise Malformed(f"Content-Length {lengths[0]!r}")
    framing = "length" if lengths else "chunked" if codings else "close"
    if is_head or status in _BODYLESS or status < 200:
        return ("none" if framing == "close" else framing), b"", rest
    if lengths:
        size = int(lengths[0])
        if len(rest) < size:
            raise EOFError
        return framing, rest[:size], rest[size:]
    if codings:
        body, rest = _chunks(rest)
        return framing, body, rest
    if not closed:
        raise EOFError
    return framing, rest, b""


def _chunks(rest: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        line, separator, rest = rest.partition(b"\r\n")
        if not separator:
            raise EOFError
        if not re.fullmatch(rb"[0-9A-Fa-f]+", line):
            raise Malformed(f"chunk {line[:100]!r}")
        size = int(line, 16)
        if len(rest) < size + 2:
            raise EOFError
        if rest[size : size + 2] != b"\r\n":
            raise Malformed(f"chunk without end {rest[size : size + 10]!r}")
        body, rest = body + rest[:size], rest[size + 2 :]
        if not size:
            return body, rest
