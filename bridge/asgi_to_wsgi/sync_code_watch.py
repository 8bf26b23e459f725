"""``request_timeout_s`` of `to_wsgi`, for sync code on the server thread. Runs on the event loop.

The server thread is in that code, and cannot look at the time itself. Nor can it be replaced: it
belongs to the server. So the request ends with :class:`~bridge.errors.RequestTimeout` once the code
returns, and the process asks to be replaced. Where threads are greenlets, which are as many as the
requests, it does not.
"""

from __future__ import annotations

import logging
from asyncio import AbstractEventLoop
from contextvars import Context
from dataclasses import dataclass
from threading import Thread
from time import monotonic
from typing import Protocol

from bridge._http.client_text import ClientText
from bridge._threads.greenlets import greenlets_run_here
from bridge._threads.health import degrade
from bridge._threads.stacks import thread_stack
from bridge.errors import RequestTimeout
from bridge.types import Scope

__all__ = ["SyncCodeWatch"]

logger = logging.getLogger("bridge.asgi_to_wsgi")

PERIOD_S = 1.0


class Server(Protocol):
    """What runs sync code.

    :ivar thread: of the server.
    """

    thread: Thread


class Jobs(Protocol):
    """The sync code of a request: :class:`~bridge.asgi_to_wsgi.sync_code.SyncJobs`."""

    @property
    def running_on(self) -> Server | None: ...

    @property
    def started(self) -> int: ...


class Request(Protocol):
    """The loop side of a request that has sync code."""

    finished: bool

    @property
    def sync_jobs(self) -> Jobs | None: ...

    @property
    def scope(self) -> Scope: ...

    def fail_late(self, error: RequestTimeout) -> None: ...


@dataclass(slots=True)
class _Seen:
    """What was seen of the sync code of a request.

    :ivar started: how many jobs its server thread had begun.
    :ivar since: ``time.monotonic()`` when the last one was seen first.
    """

    started: int
    since: float


class SyncCodeWatch:
    """The requests of one app that have sync code. One timer for all of them, while there are any.

    :param name: of the app.
    """

    def __init__(self, loop: AbstractEventLoop, name: str, limit_s: float) -> None:
        self._loop = loop
        self._name = name
        self._limit_s = limit_s
        self._period_s = min(PERIOD_S, limit_s / 4)
        self._requests: dict[Request, _Seen] = {}
        self._has_threads = not greenlets_run_here()

    def add(self, request: Request) -> None:
        """A request has sync code for its server thread."""
        if request in self._requests:
            return
        if not self._requests:
            self._arm()
        self._requests[request] = _Seen(0, monotonic())

    def _arm(self) -> None:
        self._loop.call_later(self._period_s, self._sweep, context=Context())

    def _sweep(self) -> None:
        now = monotonic()
        for request, seen in tuple(self._requests.items()):
            jobs = request.sync_jobs
            if jobs is None or request.finished:
                del self._requests[request]
            elif jobs.running_on is None or jobs.started != seen.started:
                seen.started, seen.since = jobs.started, now
            elif now - seen.since >= self._limit_s:
                del self._requests[request]
                self._give_up(request, jobs.running_on.thread.ident or 0)
        if self._requests:
            self._arm()

    def _give_up(self, request: Request, ident: int) -> None:
        logger.error(
            "sync code of %s has run for request_timeout_s=%g on the server thread, for %s %s. "
            "It stands at\n%s",
            self._name,
            self._limit_s,
            ClientText(request.scope["method"]),
            ClientText(request.scope["path"]),
            thread_stack(ident),
        )
        request.fail_late(RequestTimeout(self._limit_s))
        if self._has_threads:
            degrade(
                f"a thread of the server is stuck in sync code of {self._name} that took longer "
                f"than request_timeout_s={self._limit_s:g}"
            )
