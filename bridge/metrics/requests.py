"""What the records of requests add to the numbers. Called for each request: two appends to lists.

An observer of requests (`bridge._observe`), whose two methods are those of lists. The lists are
taken apart later, once for all requests of about a second.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from bridge._observe.record import RequestRecord
from bridge.metrics.catalogue import (
    DISCONNECTS,
    ERRORS,
    PROXY_WAIT_S,
    RECEIVED_BYTES,
    REQUEST_QUEUE_S,
    REQUEST_S,
    REQUEST_THREAD_S,
    REQUEST_WIRE_S,
    REQUESTS,
    REQUESTS_IN_PROGRESS,
    SENT_BYTES,
    WEBSOCKETS,
    WEBSOCKETS_OPEN,
)
from bridge.metrics.numbers import Numbers

__all__ = ["RequestCounter"]

MOST_ERRORS = 50
"""Different classes of errors that are counted apart: an app may make up new ones all the time."""


class RequestCounter:
    """Counts all requests of this process that are observed.

    :ivar started: takes the record of a request that has arrived. On the thread that serves it.
    :ivar ended: takes that of one that has ended.
    """

    started: Callable[[RequestRecord], Any]
    ended: Callable[[RequestRecord], Any]

    def __init__(self) -> None:
        self._started: list[RequestRecord] = []
        self._ended: list[RequestRecord] = []
        self.started = self._started.append
        self.ended = self._ended.append
        self._open: Counter[str] = Counter()
        self._errors: set[str] = set()

    def clear(self) -> None:
        """In a forked child: these requests are its parent's."""
        self._started.clear()
        self._ended.clear()
        self._open.clear()

    def add_to(self, numbers: Numbers) -> None:
        """Add what has ended since the last call, and what is in progress. One thread at a time."""
        ended = _taken(self._ended)  # first: each has started before
        started = _taken(self._started)
        self._open.update(record.kind for record in started)
        self._open.subtract(record.kind for record in ended)
        numbers.gauge(REQUESTS_IN_PROGRESS, self._open["http"])
        numbers.gauge(WEBSOCKETS_OPEN, self._open["websocket"])
        requests = [record for record in ended if record.kind == "http"]
        websockets = [record for record in ended if record.kind == "websocket"]
        self._add_times(requests, numbers)
        self._add_counts("http", REQUESTS, requests, numbers)
        self._add_counts("websocket", WEBSOCKETS, websockets, numbers)

    def _add_times(self, requests: list[RequestRecord], numbers: Numbers) -> None:
        numbers.observe(REQUEST_S, [each.total_s or 0.0 for each in requests])
        queue_s = [each.queue_s for each in requests if each.queue_s is not None]
        numbers.observe(REQUEST_QUEUE_S, queue_s)
        thread_s = [each.thread_s for each in requests if each.thread_s is not None]
        numbers.observe(REQUEST_THREAD_S, thread_s)
        wire_s = [
            max((each.total_s or 0.0) - (each.queue_s or 0.0) - (each.thread_s or 0.0), 0.0)
            for each in requests
        ]
        numbers.observe(REQUEST_WIRE_S, wire_s)
        numbers.observe(PROXY_WAIT_S, [each.proxy_wait_s for each in requests if each.proxy_wait_s])

    def _add_counts(
        self, kind: str, metric: Any, records: list[RequestRecord], numbers: Numbers
    ) -> None:
        for status, count in Counter(record.status for record in records).items():
            numbers.count(metric, count, "none" if status is None else str(status))
        numbers.count(RECEIVED_BYTES, sum(each.received_bytes for each in records), kind)
        numbers.count(SENT_BYTES, sum(each.sent_bytes for each in records), kind)
        numbers.count(DISCONNECTS, sum(each.disconnected for each in records), kind)
        for each in records:
            if each.error is not None:
                numbers.count(ERRORS, 1, self._shown(each.error))

    def _shown(self, error: str) -> str:
        if error in self._errors or len(self._errors) < MOST_ERRORS:
            self._errors.add(error)
            return error
        return "other"


def _taken(records: list[RequestRecord]) -> list[RequestRecord]:
    taken = records[:]
    del records[: len(taken)]
    return taken
