"""What requests add to the numbers.

A request that goes through an adapter is recorded there, by appends to lists. For others this is an
observer (`bridge._observe`), whose two methods are those of lists. The lists are taken apart
later, once for all requests of about a second.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from operator import sub
from typing import Any

from bridge._observe.crossings import Crossings, ToAsgiCrossings, ToWsgiCrossings
from bridge._observe.record import RequestRecord
from bridge.metrics.catalogue import (
    DISCONNECTS,
    ERRORS,
    POOL_QUEUE_S,
    POOL_THREAD_S,
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
        self._crossings: list[Crossings] = []
        self._open: Counter[str] = Counter()
        self._errors: set[str] = set()

    def to_asgi_crossings(self, pool: str | None) -> Crossings:
        """What one `WsgiToAsgi` records.

        :param pool: the name of its pool, if nothing else runs there.
        """
        return self._added(ToAsgiCrossings([self], pool))

    def to_wsgi_crossings(self) -> Crossings:
        """What one `AsgiToWsgi` records."""
        return self._added(ToWsgiCrossings([self]))

    def _added(self, crossings: Crossings) -> Crossings:
        self._crossings.append(crossings)
        return crossings

    def clear(self) -> None:
        """In a forked child: these requests are its parent's."""
        self._started.clear()
        self._ended.clear()
        self._open.clear()
        for crossings in self._crossings:
            crossings.clear()

    @property
    def has_news(self) -> bool:
        """Whether a request has started since the last :meth:`add_to`."""
        return bool(self._started)

    def add_to(self, numbers: Numbers) -> None:
        """Add what has ended since the last call, and what is in progress. One thread at a time."""
        ended = _taken(self._ended)  # first: each has started before
        started = _taken(self._started)
        self._open.update(record.kind for record in started)
        self._open.subtract(record.kind for record in ended)
        for crossings in self._crossings[:]:
            self._add_crossings(crossings, numbers)
        numbers.gauge(REQUESTS_IN_PROGRESS, self._open["http"])
        numbers.gauge(WEBSOCKETS_OPEN, self._open["websocket"])
        requests = [record for record in ended if record.kind == "http"]
        websockets = [record for record in ended if record.kind == "websocket"]
        self._add_times(requests, numbers)
        self._add_counts("http", REQUESTS, requests, numbers)
        self._add_counts("websocket", WEBSOCKETS, websockets, numbers)

    def _add_crossings(self, crossings: Crossings, numbers: Numbers) -> None:
        whole, others = crossings.take_whole(), crossings.take_other()
        self._open["http"] += crossings.take_began() - len(others)
        if crossings.counts_whole:
            self._open["http"] -= len(whole.total_s)
        numbers.observe(REQUEST_S, whole.total_s)
        numbers.observe(REQUEST_QUEUE_S, whole.queue_s)
        numbers.observe(REQUEST_THREAD_S, whole.thread_s)
        wire_s = map(sub, map(sub, whole.total_s, whole.queue_s), whole.thread_s)
        numbers.observe(REQUEST_WIRE_S, [max(each, 0.0) for each in wire_s])
        for status, count in Counter(whole.statuses).items():
            numbers.count(REQUESTS, count, status)
        numbers.count(SENT_BYTES, whole.sent_bytes, "http")
        self._add_times(others, numbers)
        self._add_counts("http", REQUESTS, others, numbers)
        left = crossings.take_left()
        if crossings.pool is not None:
            ran = [
                each for each in others if each.queue_s is not None and each.thread_s is not None
            ]
            queue_s = [each.queue_s or 0.0 for each in ran]
            queue_s += [started_at - posted_at for posted_at, started_at, _ in left]
            thread_s = [each.thread_s or 0.0 for each in ran]
            thread_s += [left_at - started_at for _, started_at, left_at in left]
            numbers.observe(POOL_QUEUE_S, whole.queue_s + queue_s, crossings.pool)
            numbers.observe(POOL_THREAD_S, whole.thread_s + thread_s, crossings.pool)

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
