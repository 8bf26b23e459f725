"""`iterate_in_loop`: an async iterable in sync code.

One task on the event loop iterates, at most a window ahead. The consumer's thread takes the items
that are ready and waits, as in ``async_to_sync``, only if there are none.

Rule 1. The source is created, advanced and closed in one task, in one context.
Rule 2. ``_lock`` guards the buffer, the counts, and the two marks of waiting: the consumer's for an
        item (``_is_waiting``) and the task's for space (``_space``). Each side checks the buffer
        and the counts before it sets its mark.
Rule 3. An exception of the source is raised after the items before it.
Rule 4. A consumer that stops early cancels the task and waits until the source is closed. If the
        garbage collector does it on another thread, it does not wait.
"""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from collections import deque
from collections.abc import AsyncIterable, Generator, Iterator
from functools import partial
from typing import Generic, TypeVar

from bridge._threads.locks import RealMutex
from bridge.config import check_loop_factory, positive_int
from bridge.sync.loop_task import LoopTask, refuse_on_loop
from bridge.types import LoopFactory

__all__ = ["iterate_in_loop"]

T = TypeVar("T")


def iterate_in_loop(
    iterable: AsyncIterable[T], *, window: int = 64, loop_factory: LoopFactory | None = None
) -> Generator[T, None, None]:
    """Iterate over an async iterable in sync code, on the loop that ``async_to_sync`` would use.

    >>> for event in bridge.iterate_in_loop(subscription):  # doctest: +SKIP
    ...     print(event)

    The source runs in one task, at most a window ahead of the consumer. While the consumer waits
    for an item, or in ``async_to_sync``, ours or asgiref's, its thread runs the thread-sensitive
    sync code that the source calls. An exception of the source is raised after the items before it.

    Leaving the ``for`` loop early (or closing the returned generator) cancels the task, closes the
    source in it (with ``aclose()``, if it has one) and waits for both.

    :param iterable: an async iterable, such as an async generator or a subscription.
    :param window: how many items the source may be ahead. A full window pauses the source.
    :param loop_factory: makes the loop where none called, as in :func:`async_to_sync`.
    :raises TypeError: ``iterable`` is not an async iterable.
    :raises ConfigError: ``window`` is not an int of 1 or more, or ``loop_factory`` not callable.
    :raises DeadlockError: from an iteration: an event loop runs on this thread, or the loop of the
        source has been stopped.
    """
    positive_int("window", window)
    check_loop_factory(loop_factory)
    if not hasattr(iterable, "__aiter__"):
        hint = "; a sync one needs no helper" if hasattr(iterable, "__iter__") else ""
        raise TypeError(f"iterate_in_loop takes an async iterable, not {iterable!r}{hint}")
    return _pumped(iterable, window, loop_factory)


def _pumped(
    iterable: AsyncIterable[T], window: int, loop_factory: LoopFactory | None
) -> Generator[T, None, None]:
    refuse_on_loop()
    pump = _Pump(iterable, window, loop_factory)
    try:
        pump.start()
        while pump.wait():
            yield from pump.take()
    finally:
        pump.close()


class _Pump(Generic[T]):
    """An async iterable and the task that iterates it."""

    def __init__(
        self, iterable: AsyncIterable[T], window: int, loop_factory: LoopFactory | None
    ) -> None:
        self._iterable = iterable
        self._window = window
        self._task = LoopTask(self._on_loop(), loop_factory)
        # Below: used by both sides, under the lock.
        self._lock = RealMutex()
        self._buffer: deque[T] = deque()
        self._produced = 0
        self._consumed = 0
        self._is_waiting = True
        self._space: asyncio.Future[None] | None = None

    # -- on the consumer's thread ---------------------------------------------------------------

    def start(self) -> None:
        """Start the task, and wait for the first item or the end."""
        self._task.register_wait()
        self._task.start()
        self._task.wait()

    def wait(self) -> bool:
        """Wait for items. Returns False at the end of the source.

        :raises BaseException: an exception of the source, after its items.
        """
        while self._must_wait():
            self._task.wait_again()
        if self._buffer:
            return True
        self._task.outcome()
        return False

    def _must_wait(self) -> bool:
        with self._lock:
            self._is_waiting = not self._buffer and not self._task.ended
            return self._is_waiting

    def take(self) -> Iterator[T]:
        """The items that are ready."""
        while self._buffer:
            with self._lock:
                item = self._buffer.popleft()
                self._consumed += 1
                space = None
                if self._produced - self._consumed <= self._window // 2:
                    space, self._space = self._space, None
            if space is not None:
                self._task.post(partial(_settle, space))
            yield item

    def close(self) -> None:
        """End the task; wait for it if this is the thread that runs its sync code.

        :raises BaseException: an exception of the source while it was closed.
        """
        if not self._task.can_wait_here():
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
                space = self._deliver(item)
                if space is not None:
                    await space
        finally:
            close = getattr(source, "aclose", None)
            if close is not None:
                await close()

    def _deliver(self, item: T) -> asyncio.Future[None] | None:
        """Buffer an item. Returns what to await before the next one if the window is full."""
        with self._lock:
            self._buffer.append(item)
            self._produced += 1
            is_waiting, self._is_waiting = self._is_waiting, False
            if self._produced - self._consumed >= self._window:
                self._space = asyncio.get_running_loop().create_future()
            space = self._space
        if is_waiting:
            self._task.notify()
        return space


def _settle(space: asyncio.Future[None]) -> None:
    if not space.done():
        space.set_result(None)
