"""What the middlewares of both interfaces do with a request. Pure.

Input: the two headers of the request that matter, as text. Output: the id and the wait of its
record, and the headers that its response gets.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from os import urandom
from time import monotonic

from bridge._observe.record import Observer, RequestRecord

__all__ = ["LONGEST_WAIT_S", "Settings", "added_headers", "has_id", "proxy_wait_s", "request_id_of"]

LONGEST_ID = 128
LONGEST_WAIT_S = 600.0
"""A proxy does not hold a request for longer: a larger difference is that of two clocks."""

_ID = re.compile(rf"[A-Za-z0-9._:/+=@-]{{1,{LONGEST_ID}}}")
_START = re.compile(r"(?:t=)?([0-9]{10,19})(?:\.([0-9]{1,9}))?s?")
_UNITS = ((1e18, 1e-9), (1e15, 1e-6), (1e12, 1e-3), (1e9, 1.0))
"""How large the number of seconds since 1970 is in each unit, from 2001 on, and the unit."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of :func:`bridge.observe` that both middlewares share.

    :ivar observers: get the record of each request.
    :ivar skips_counted: but not of one that an adapter around the app records: see `crossings`.
    :ivar request_id: whether requests and responses get an ``X-Request-ID``.
    :ivar request_start: whether ``X-Request-Start`` of the request is read.
    :ivar server_timing: whether responses get a ``Server-Timing``.
    """

    observers: Sequence[Observer]
    request_id: bool = False
    request_start: bool = False
    server_timing: bool = False
    skips_counted: bool = False

    @property
    def reads_headers(self) -> bool:
        """Whether anything depends on the headers of a request, or is added to its response."""
        return self.request_id or self.request_start or self.server_timing


def request_id_of(given: str | None) -> str:
    """The id of a request: the one that it came with, if that is one, or a new one.

    :param given: its ``X-Request-ID``.
    """
    if given is not None and _ID.fullmatch(given):
        return given
    return urandom(16).hex()


def added_headers(record: RequestRecord, has_id: bool) -> list[tuple[str, str]]:
    """What a response gets.

    :param has_id: the app has set ``X-Request-ID`` itself.
    """
    headers = []
    if record.request_id is not None and not has_id:
        headers.append(("x-request-id", record.request_id))
    if record.sends_timing:
        headers.append(("server-timing", _timing(record)))
    return headers


def has_id(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the response has an ``X-Request-ID``."""
    return any(isinstance(name, bytes) and name.lower() == b"x-request-id" for name, _ in headers)


def _timing(record: RequestRecord) -> str:
    """The times until the response begins, as a ``Server-Timing``, in milliseconds.

    https://www.w3.org/TR/server-timing/
    """
    now = monotonic()
    times = [("total", now - record.arrived_at)]
    thread_s = record.thread_until(now)
    if thread_s is not None:
        times.insert(0, ("thread", thread_s))
    waited_s = record.waited_s
    if waited_s is not None:
        times.insert(0, ("queue", waited_s))
    return ", ".join(f"{name};dur={seconds * 1000:.1f}" for name, seconds in times)


def proxy_wait_s(value: str, clock: Callable[[], float] = time.time) -> float:
    """How long a request has waited since its ``X-Request-Start``.

    Supports what proxies send: ``t=`` or nothing, then the time since 1970 in seconds with a
    fraction (nginx's ``t=${msec}``), milliseconds (Heroku), microseconds (Apache's ``%t``,
    HAProxy's ``%Ts%ms000``) or nanoseconds. The unit follows from the size of the number.

    :returns: 0 for anything else, for a time in the future, and for one that is longer ago than
        ``LONGEST_WAIT_S``: clocks that differ must not become a wait.
    """
    match = _START.fullmatch(value.strip())
    if match is None:
        return 0.0
    number = float(f"{match[1]}.{match[2] or 0}")
    for smallest, unit in _UNITS:
        if number >= smallest:
            waited_s = clock() - number * unit
            return waited_s if 0 < waited_s <= LONGEST_WAIT_S else 0.0
    return 0.0
