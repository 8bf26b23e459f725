"""``request_timeout_s`` of `to_wsgi`: how long a request may make no progress.

Runs on the server thread, which looks once a second while it waits for the app. So the limit holds
where the event loop is blocked, too, and no request has a timer.

Progress is a byte that the server has taken of the response, or a piece that the app has got of the
request body. Time in which the server thread waits for the client is not looked at.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterable
from time import monotonic
from typing import Protocol

from bridge._http.answers import TOO_LATE, wsgi_answer
from bridge._http.client_text import ClientText
from bridge._threads.stacks import task_stack, thread_stack
from bridge.types import Environ, StartResponse

__all__ = ["RequestClock", "answer_late", "log_late"]

logger = logging.getLogger("bridge.asgi_to_wsgi")


class Body(Protocol):
    """A request body. :ivar pieces: how many have been read."""

    pieces: int


class Request(Protocol):
    """The loop side of a request.

    :ivar accepted: how many bytes of the response the server has taken.
    :ivar task: the app's, as long as it runs.
    """

    accepted: int
    task: asyncio.Task[None] | None

    @property
    def body(self) -> Body | None: ...


class App(Protocol):
    """The app that runs."""

    name: str
    loop: asyncio.AbstractEventLoop

    @property
    def thread(self) -> threading.Thread: ...


class RequestClock:
    """Since when a request has made no progress.

    :param started_at: ``time.monotonic()`` when it began.
    """

    __slots__ = ("_seen", "_since")

    def __init__(self, started_at: float) -> None:
        self._since = started_at
        self._seen = (0, 0)

    def idle_s(self, loop_side: Request) -> float:
        """How long it has made no progress, as far as is known now."""
        pieces = 0 if loop_side.body is None else loop_side.body.pieces
        seen, now = (loop_side.accepted, pieces), monotonic()
        if seen != self._seen:
            self._seen, self._since = seen, now
        return now - self._since


def log_late(app: App, loop_side: Request, environ: Environ, limit_s: float) -> None:
    """Log which request takes too long, and where it stands."""
    logger.error(
        "%s %s has made no progress for request_timeout_s=%g. %s stands at\n%s",
        ClientText(environ["REQUEST_METHOD"]),
        ClientText(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")),
        limit_s,
        app.name,
        _stack(app, loop_side),
    )


def _stack(app: App, loop_side: Request) -> str:
    task = loop_side.task
    if task is None or asyncio.current_task(app.loop) is task:  # it blocks the loop
        return thread_stack(app.thread.ident or 0)
    return task_stack(task)


def answer_late(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer 504 (RFC 9110, 15.6.5)."""
    return wsgi_answer(start_response, 504, TOO_LATE, method=environ["REQUEST_METHOD"])
