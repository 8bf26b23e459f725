"""A request that an adapter records, from the moment it is known to be no ordinary one.

Runs on the server thread.

It has a request body, or its response takes more than one hand-over, or there is none. The server
gets the iterable and ``start_response`` of a middleware then, which counts what passes through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from bridge._observe.crossings import Crossings
from bridge._observe.record import RequestRecord
from bridge._observe.wsgi import Exchange
from bridge.types import Environ, StartResponse

__all__ = ["Followed", "follow"]


class Body(Protocol):
    """A request body. :ivar received: how many bytes have been read."""

    received: int


class Request(Protocol):
    """The loop side of a request.

    :ivar posted_at: ``time.monotonic()`` when it was posted to the loop.
    :ivar is_followed: set here.
    """

    posted_at: float
    is_followed: bool

    @property
    def body(self) -> Body | None: ...


class Followed:
    """The observer of one request: passes its record on, once that is complete.

    :param request: None if there is no loop side.
    """

    def __init__(self, crossings: Crossings, request: Request | None) -> None:
        self._crossings = crossings
        self._request = request

    def started(self, record: RequestRecord) -> None:
        self._crossings.began(None)

    def ended(self, record: RequestRecord) -> None:
        request = self._request
        if request is not None:
            started_at = getattr(request, "started_at", None)
            if started_at is not None:
                record.queue_s = started_at - request.posted_at
            if request.body is not None:
                record.received_bytes = request.body.received
        record.thread_s = record.total_s  # its server thread waits all the time
        self._crossings.other(record)


def follow(
    crossings: Crossings,
    request: Request | None,
    environ: Environ,
    start_response: StartResponse,
    respond: Callable[[StartResponse], Iterable[bytes]],
) -> Iterable[bytes]:
    """The response, and its record.

    :param respond: makes the response.
    """
    record = RequestRecord("http", method=environ["REQUEST_METHOD"], path="", client=None)
    if request is not None:
        request.is_followed = True
        record.arrived_at = request.posted_at
    record.start([Followed(crossings, request)])
    exchange = Exchange(record, start_response)
    wrapper = environ.get("wsgi.file_wrapper")
    del environ  # error reports print the local variables of each frame of a traceback
    try:
        return exchange.response(respond(exchange.start_response), wrapper)
    except BaseException as error:
        exchange.end(error)
        raise
