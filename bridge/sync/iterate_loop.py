"""`iterate_in_loop`: an async iterable for sync code.

What enters: an async iterable, from a sync thread. What leaves: its items, there. One task on the
event loop iterates, at most a window ahead; the thread takes what is there, and waits, as in
``async_to_sync``, only when nothing is.

Rule 1. The source is made, asked and closed in one task, in one context.
Rule 2. ``_lock`` guards the buffer, the counts, and the two signs of waiting: the consumer's for
        an item (``_hungry``), the task's for room (``_room``). Each looks before it sets its own.
Rule 3. An error of the source comes after the items before it.
Rule 4. Who leaves early cancels the task, and waits until the source is closed; unless this is the
        garbage collector, on some other thread.
"""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from collections import deque
from collections.abc import AsyncIterable, Generator, Iterator
from functools import partial
from typing import Generic, TypeVar

from bridge._threads.real_threads import RealLock
from bridge.config import positive_int
from bridge.sync.loop_task import LoopTask, refuse_on_loop

__all__ = ["iterate_in_loop"]

T = TypeVar("T")


def iterate_in_loop(iterable: AsyncIterable[T], *, window: int = 64) -> Generator[T, None, None]:
    """Iterate over an async iterable from sync code, on the event loop ``async_to_sync`` would use.

    >>> for event in bridge.iterate_in_loop(subscription):  # doctest: +SKIP
    ...     print(event)

    The source runs in one task, ahead of the consumer by at most the window. While the consumer
    waits for an item, or in another of the bridge's helpers, its thread runs the thread-sensitive
    sync code that the source calls. Leaving
    the loop early (or closing the returned generator) cancels the task, closes the source there
    (its ``aclose()``, if it has one) and waits for both.

    :param iterable: an async generator, a stream, a subscription.
    :param window: how many items the source may be ahead of the consumer.
    :raises TypeError: ``iterable`` cannot be iterated asynchronously.
    :raises ConfigError: ``window`` is not an int of 1 or more.
    :raises DeadlockError: when an item is asked for: an event loop runs on this very thread.
    """
    positive_int("window", window)
    if not hasattr(iterable, "__aiter__"):
        hint = "; a sync one needs no helper" if hasattr(iterable, "__iter__") else ""
        raise TypeError(f"iterate_in_loop takes an async iterable, not {iterable!r}{hint}")
    return _pumped(iterable, window)


def _pumped(iterable: AsyncIterable[T], window: int) -> Generator[T, None, None]:
    refuse_on_loop()
    pump = _Pump(iterable, window)
    try:
        pump.begin()
        while pump.wait():
            yield from pump.take()
    finally:
        pump.close()


class _Pump(Generic[T]):
    """An async iterable, and the task that iterates it. ``_on_loop`` runs there."""

    def __init__(self, iterable: AsyncIterable[T], window: int) -> None:
        self._iterable = iterable
        self._window = window
        self._task = LoopTask(self._on_loop())
        # Below: both sides.
        self._lock = RealLock()
        self._buffer: deque[T] = deque()
        self._produced = 0
        self._consumed = 0
        self._hungry = True
        self._room: asyncio.Future[None] | None = None

    # -- on the consumer's thread ---------------------------------------------------------------

    def begin(self) -> None:
        """Start, and wait for the first item, or for the end."""
        self._task.announce()
        self._task.begin()
        self._task.wait()

    def wait(self) -> bool:
        """Wait until there are items. False: there will be no more.

        :raises BaseException: what the source raised, once its items are taken.
        """
        while self._must_wait():
            self._task.wait_for_more()
        if self._buffer:
            return True
        self._task.outcome()
        return False

    def _must_wait(self) -> bool:
        with self._lock:
            self._hungry = not self._buffer and not self._task.ended
            return self._hungry

    def take(self) -> Iterator[T]:
        """The items that are there."""
        while self._buffer:
            with self._lock:
                item = self._buffer.popleft()
                self._consumed += 1
                room = None
                if self._produced - self._consumed <= self._window // 2:
                    room, self._room = self._room, None
            if room is not None:
                self._task.post(partial(_settle, room))
            yield item

    def close(self) -> None:
        """End the task, and wait for it if this is the thread that it may come back to.

        :raises BaseException: what the source raised while it was closed.
        """
        if not self._task.may_be_waited_for():
            self._task.abandon()
            return
        if self._task.ended:
            self._task.finish()
            return
        self._task.cancel()
        try:
            self._task.outcome()
        except CancelledError:
            pass

    # -- on the loop's thread -------------------------------------------------------------------

    async def _on_loop(self) -> None:
        source = aiter(self._iterable)
        try:
            async for item in source:
                room = self._deliver(item)
                if room is not None:
                    await room
        finally:
            close = getattr(source, "aclose", None)
            if close is not None:
                await close()

    def _deliver(self, item: T) -> asyncio.Future[None] | None:
        """Returns what to await before the next item, if the window is full."""
        with self._lock:
            self._buffer.append(item)
            self._produced += 1
            hungry, self._hungry = self._hungry, False
            if self._produced - self._consumed >= self._window:
                self._room = asyncio.get_running_loop().create_future()
            room = self._room
        if hungry:
            self._task.give_notice()
        return room


def _settle(room: asyncio.Future[None]) -> None:
    if not room.done():
        room.set_result(None)
