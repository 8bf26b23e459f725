"""The protocol of the control socket: one line of JSON in each direction. Pure.

::

    {"bridge": 1, "get": "snapshot"}
    {"bridge": 1, "pid": 4242, "pools": [...], ...}

A connection carries one request and one answer; the listener closes it. ``bridge`` is the version.
Within a version, keys are added and never change their meaning. An answer to a request that cannot
be understood is ``{"bridge": 1, "error": "..."}``.

All text is ASCII: control characters of a client's path are escaped by JSON.
"""

from __future__ import annotations

import json
from typing import Any, TypeAlias

__all__ = [
    "LONGEST_ANSWER",
    "LONGEST_REQUEST",
    "MOST_ROWS",
    "Answer",
    "BadControlRequest",
    "encode",
    "error_answer",
    "parse_answer",
    "parse_request",
    "request_line",
]

VERSION = 1

LONGEST_REQUEST = 1024
LONGEST_ANSWER = 4 * 1024 * 1024
"""In bytes, the line break included. Of an answer: what a reader accepts."""

MOST_ROWS = 500
"""Requests, pools and loops that an answer has at most."""

Answer: TypeAlias = dict[str, Any]


class BadControlRequest(ValueError):
    """The request is not one of this protocol. The message is for the answer."""


def request_line(get: str) -> bytes:
    """What a reader sends."""
    return encode({"get": get})


def parse_request(line: bytes) -> str:
    """What is asked for.

    :raises BadControlRequest: it is no request of this version.
    """
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        raise BadControlRequest("expected a line of JSON") from None
    if not isinstance(request, dict) or request.get("bridge") != VERSION:
        raise BadControlRequest(f"expected an object with bridge: {VERSION}")
    get = request.get("get")
    if not isinstance(get, str):
        raise BadControlRequest("expected get: a string")
    return get


def encode(answer: Answer) -> bytes:
    """The line to send."""
    return json.dumps({"bridge": VERSION, **answer}, separators=(",", ":")).encode() + b"\n"


def error_answer(message: str) -> bytes:
    """The line to send where there is no answer."""
    return encode({"error": message})


def parse_answer(line: bytes) -> Answer:
    """What a listener has sent.

    :raises ValueError: it is no answer of this version, or an error.
    """
    answer = json.loads(line)
    if not isinstance(answer, dict) or answer.get("bridge") != VERSION:
        raise ValueError(f"not an answer of version {VERSION} of the control protocol")
    if "error" in answer:
        raise ValueError(str(answer["error"]))
    return answer
