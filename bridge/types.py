"""Types that several modules share: scopes, messages, apps, and the callables of both interfaces.

The ASGI spec defines scopes and messages as plain dicts, so they are aliases here and not classes:
an app or a server may add keys, and no conversion is needed.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Protocol, TypeAlias

Interface = Literal["wsgi", "asgi"]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

Environ: TypeAlias = dict[str, Any]
ResponseHeaders: TypeAlias = list[tuple[str, str]]
ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType]
OptExcInfo: TypeAlias = ExcInfo | tuple[None, None, None] | None
Write: TypeAlias = Callable[[bytes], object]

RawHeaders: TypeAlias = list[tuple[bytes, bytes]]

TrustedEnviron: TypeAlias = Callable[[Scope], Mapping[str, str]]
UnderscoreHeaders = Literal["drop", "keep", "refuse"]
LifespanMode = Literal["auto", "on", "off"]
WebSocketMode = Literal["auto", "off"]
LoopFactory: TypeAlias = Callable[[], AbstractEventLoop]


class StartResponse(Protocol):
    """PEP 3333's ``start_response(status, response_headers, exc_info=None) -> write``."""

    def __call__(
        self, status: str, response_headers: ResponseHeaders, exc_info: OptExcInfo = None, /
    ) -> Write: ...


WsgiApp: TypeAlias = Callable[[Environ, StartResponse], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class PoolStats:
    """A pool at one moment. Waits are in seconds and count jobs that have started.

    :ivar lost: threads that are stuck in a request that took longer than ``request_timeout_s``, and
        are not among ``threads`` any more.
    :ivar max_threads: how many threads may run jobs; None if an executor of your own decides.
    :ivar loop_lag_s: how late the event loop runs, in seconds; None where that is not measured.
    """

    threads: int
    idle: int
    running: int
    waiting: int
    completed: int
    refused: int
    wait_total_s: float
    wait_max_s: float
    lost: int = 0
    max_threads: int | None = None
    loop_lag_s: float | None = None
