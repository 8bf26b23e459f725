"""What the adapters record of their requests, where metrics are on. Pure; see each method for its
thread.

An adapter knows everything about a request that metrics count, so it wraps neither ``receive`` nor
``send``. It appends to lists, which whoever has asked for that takes apart from time to time.
Appending is atomic on every build, so threads need no lock.

Rule 1. Of an ordinary request, one tuple: without a body, and with a response that the client has
        got as the app sent it. Of any other, a :class:`~bridge._observe.record.RequestRecord`.
Rule 2. Who asks decides which adapters record: those that the server calls. What is inside an
        adapter that records is not counted again: :data:`COUNTED`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from bridge._observe.record import Observer, RequestRecord

__all__ = [
    "COUNTED",
    "Crossings",
    "ToAsgiCrossings",
    "ToWsgiCrossings",
    "WholeRequests",
    "is_counted",
]

COUNTED = "bridge.counted"
"""The key, in a scope or an environ, of a request that an adapter records."""


class WholeRequests(NamedTuple):
    """Ordinary requests that have ended. Durations are in seconds.

    :ivar statuses: as strings of three digits.
    :ivar sent_bytes: of all of them together.
    """

    total_s: list[float]
    queue_s: list[float]
    thread_s: list[float]
    statuses: list[str]
    sent_bytes: int


class Crossings:
    """What adapters have recorded and nobody has taken yet.

    :param observers: get the records of WebSockets, which a middleware makes.
    :param pool: the name of the pool that runs nothing but these requests; None: another one does,
        which records its jobs itself.
    :ivar began: appends None for a request that has arrived.
    :ivar whole: appends the tuple of an ordinary request that has ended.
    :ivar other: appends the record of any other.
    :cvar counts_whole: whether ordinary requests are among those that began: else they are found
        where they wait, at any moment.
    :ivar left: appends the times of a job that has outlived its request: see `job_times`.
    """

    counts_whole = True

    def __init__(self, observers: Sequence[Observer] = (), pool: str | None = None) -> None:
        self.observers = observers
        self.pool = pool
        self._began: list[None] = []
        self._whole: list[tuple[Any, ...]] = []
        self._other: list[RequestRecord] = []
        self._left: list[tuple[float, float, float]] = []
        self.began: Callable[[None], object] = self._began.append
        self.whole: Callable[[tuple[Any, ...]], object] = self._whole.append
        self.other: Callable[[RequestRecord], object] = self._other.append
        self.left: Callable[[tuple[float, float, float]], object] = self._left.append

    def clear(self) -> None:
        """In a forked child: these requests are its parent's."""
        for each in (self._began, self._whole, self._other, self._left):
            each.clear()

    def take_whole(self) -> WholeRequests:
        """Since the last call. One thread at a time, as for all that take."""
        raise NotImplementedError

    def take_other(self) -> list[RequestRecord]:
        return _taken(self._other)

    def take_left(self) -> list[tuple[float, float, float]]:
        return _taken(self._left)

    def take_began(self) -> int:
        return len(_taken(self._began))


class ToAsgiCrossings(Crossings):
    """Of :class:`~bridge.WsgiToAsgi`: when a request was posted and started, when it left its
    thread and ended; the head of its response, with the length of the body."""

    def take_whole(self) -> WholeRequests:
        found = _taken(self._whole)
        return WholeRequests(
            [ended_at - posted_at for posted_at, _, _, ended_at, _ in found],
            [started_at - posted_at for posted_at, started_at, _, _, _ in found],
            [left_at - started_at for _, started_at, left_at, _, _ in found],
            [str(head.status) for *_, head in found],
            sum(head.content_length or 0 for *_, head in found),
        )


class ToWsgiCrossings(Crossings):
    """Of :class:`~bridge.AsgiToWsgi`: when a request was posted, started and ended; the head of its
    response, and the bytes. It occupies the server thread all that time."""

    counts_whole = False

    def take_whole(self) -> WholeRequests:
        found = _taken(self._whole)
        total_s = [ended_at - posted_at for posted_at, _, ended_at, _, _ in found]
        return WholeRequests(
            total_s,
            [started_at - posted_at for posted_at, started_at, _, _, _ in found],
            total_s,
            [str(head.status)[:3] for *_, head, _ in found],
            sum(sent for *_, sent in found),
        )


def is_counted(message: Any) -> bool:
    """Whether an adapter records the request of this scope or environ, however often it has crossed
    one since."""
    if COUNTED in message:
        return True
    before = message.get("asgi.scope") or message.get("wsgi_environ")
    return before is not None and is_counted(before)


def _taken(items: list[Any]) -> list[Any]:
    taken = items[:]
    del items[: len(taken)]
    return taken
