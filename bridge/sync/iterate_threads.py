"""`iterate_in_threads`: a sync iterable in async code.

A thread fetches items in batches, at most a window ahead. The consumer, on the event loop, gets
each item as soon as it is there.

Rule 1. The source is created, advanced and closed on one thread, in one context: a copy of the
        consumer's at the start of the iteration. The consumer does not see what the source sets.
Rule 2. ``_lock`` guards the buffer and ``_is_waiting``: whether the consumer waits for an item.
Rule 3. An exception of the source is raised after the items before it.
Rule 4. A consumer that stops early closes the source on its thread, after the calls posted there
        before. A cancelled consumer does not wait for that.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from asyncio import AbstractEventLoop, CancelledError
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import suppress
from contextvars import copy_context
from time import monotonic
from typing import Generic, TypeVar

from bridge._threads.locks import RealMutex
from bridge._threads.loop_inbox import inbox_of
from bridge.config import positive_int
from bridge.sync.calls import Call
from bridge.sync.reserved_thread import ReservedThread
from bridge.sync.thread_sensitive import post_thread_sensitive
from bridge.sync.to_thread import check_executor

__all__ = ["iterate_in_threads"]

logger = logging.getLogger("bridge.sync")

T = TypeVar("T")

SLICE_S = 0.02
"""How long one batch may keep a thread that other thread-sensitive code shares."""


def iterate_in_threads(
    iterable: Iterable[T],
    *,
    window: int = 64,
    thread_sensitive: bool = True,
    executor: Executor | None = None,
) -> AsyncGenerator[T, None]:
    """Iterate over a sync iterable in async code: a worker thread calls its ``next``.

    >>> async for row in bridge.iterate_in_threads(cursor):  # doctest: +SKIP
    ...     await send(row)

    The first item arrives before the second is made; then the source runs at most a window ahead.
    It has a copy of the consumer's context. An exception of the source is raised after the items
    before it.

    Leaving the ``async for`` loop early closes the source on its thread (with ``close()``, if it
    has one). With ``contextlib.aclosing`` this happens at once and is awaited. Otherwise Python
    closes the async generator some time later: on another thread, if the ``async_to_sync`` call or
    the ``ThreadSensitiveContext`` around it has ended by then. A task that is cancelled while it
    waits for an item does not wait until the source is closed.

    :param iterable: any iterable, such as a generator, a queryset or a file.
    :param window: how many items the source may be ahead. A full window pauses the source without
        blocking a thread that other calls need.
    :param thread_sensitive: use the thread of thread-sensitive ``sync_to_async`` calls, in turns
        with them. False: reserve a thread of a pool until the end.
    :param executor: with ``thread_sensitive=False``, the pool whose thread is reserved. By default
        one of 128 threads that only iterations and managers use.
    :raises TypeError: ``iterable`` is not iterable, or ``executor`` is set although
        ``thread_sensitive`` is True.
    :raises ConfigError: ``window`` is not an int of 1 or more, or the workers of ``executor`` are
        processes.
    :raises DeadlockError: from an iteration: the thread to use waits for this code.
    :raises PoolSaturated: from an iteration: too many calls wait for the pool.
    """
    positive_int("window", window)
    check_executor(thread_sensitive, executor)
    if not hasattr(iterable, "__iter__") and not hasattr(iterable, "__getitem__"):
        hint = "; an async one needs no helper" if hasattr(iterable, "__aiter__") else ""
        raise TypeError(f"iterate_in_threads takes an iterable, not {iterable!r}{hint}")
    return _items(iterable, window, thread_sensitive, executor)


async def _items(
    iterable: Iterable[T], window: int, thread_sensitive: bool, executor: Executor | None
) -> AsyncGenerator[T, None]:
    loop = asyncio.get_running_loop()
    source = _Source(iterable, window, loop)
    if not thread_sensitive:
        source.use_thread(ReservedThread(executor, loop))
    try:
        while await source.has_items():
            for item in source.take():
                source.consumed += 1
                yield item
    except CancelledError:
        source.abandon()
        raise
    finally:
        await source.close()


class _Source(Generic[T]):
    """A sync iterable, fetched in batches. Methods named ``_on_thread_*`` run on its thread.

    :ivar consumed: how many items the consumer has got; only the loop writes it.
    """

    def __init__(self, iterable: Iterable[T], window: int, loop: AbstractEventLoop) -> None:
        self.consumed = 0
        self._iterable = iterable
        self._window = window
        self._loop = loop
        self._inbox = inbox_of(loop)
        self._context = copy_context()
        self._post: Callable[[Call], None] = post_thread_sensitive
        self._release: Callable[[], object] = lambda: None
        self._fetch: Call | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._is_closed = False
        # Below: used by both sides, under the lock.
        self._lock = RealMutex()
        self._buffer: deque[T] = deque()
        self._is_waiting = False
        # Below: used by the thread while a batch runs, and by the loop otherwise.
        self._iterator: Iterator[T] | None = None
        self._produced = 0
        self._ended = False
        self._error: BaseException | None = None

    def use_thread(self, reserved: ReservedThread) -> None:
        """Run on this thread. It is released at the end, even if the iteration is not closed."""
        self._post = reserved.post
        self._release = weakref.finalize(self, reserved.release)

    # -- on the loop's thread -------------------------------------------------------------------

    async def has_items(self) -> bool:
        """Wait for items. Returns False at the end of the source.

        :raises BaseException: an exception of the source, after its items.
        """
        while not self._buffer:
            if self._fetch is None:
                if self._ended:
                    self._raise_error()
                    return False
                self._start_batch()
            await self._wait()
        return True

    def take(self) -> Iterator[T]:
        """The items that are ready. The next batch starts meanwhile if the window has space."""
        while self._buffer:
            ahead = self._produced - self.consumed - 1
            if self._fetch is None and not self._ended and ahead <= self._window // 2:
                self._prefetch()
            yield self._buffer.popleft()

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # its traceback holds this frame: break the cycle

    def _start_batch(self) -> None:
        call = Call(self._on_thread_fetch, (), {}, self._context, self._loop)
        call.add_done_callback(self._on_batch_done, context=copy_context())
        self._post(call)
        self._fetch = call

    def _prefetch(self) -> None:
        """Start a batch early. If the thread refuses, it is tried again when items are needed."""
        with suppress(Exception):
            self._start_batch()

    def _on_batch_done(self, call: Call) -> None:
        self._fetch = None
        if self._is_closed:
            self._log_error()
        if call.error is not None:  # the pool was shut down
            self._error, self._ended = call.error, True
        self._wake()

    async def _wait(self) -> None:
        with self._lock:
            if self._buffer:
                return
            self._is_waiting = True
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _log_error(self) -> None:
        """Log an ordinary exception that no consumer waits for."""
        error, self._error = self._error, None
        if isinstance(error, Exception):
            logger.error("%r failed after its consumer had stopped", self._iterable, exc_info=error)

    # -- closing --------------------------------------------------------------------------------

    async def close(self) -> None:
        """End the iteration, and wait until the source is closed.

        :raises BaseException: an exception of the source while it was closed.
        """
        call = self._start_closing()
        if call is not None:
            await call

    def abandon(self) -> None:
        """End the iteration without waiting for the thread."""
        call = self._start_closing()
        if call is not None:
            call.abandoned = True

    def _start_closing(self) -> Call | None:
        """Post the call that closes the source. None: it is closed, or has ended."""
        if self._is_closed:
            return None
        self._is_closed = True
        running = self._fetch
        if running is not None and not running.withdraw():
            running.abandoned = True  # it ends after its current item
        call = None
        if not self._ended or running is not None:
            call = Call(self._on_thread_close, (), {}, self._context, self._loop)
            call.must_run = True
            self._post(call)
        self._release()
        return call

    # -- on the source's thread -----------------------------------------------------------------

    def _on_thread_fetch(self) -> None:
        """One batch: until the window is full, the iteration is closed, or ``SLICE_S`` is over."""
        until = monotonic() + SLICE_S
        try:
            if self._iterator is None:
                self._iterator = iter(self._iterable)
            iterator = self._iterator
            while self._produced - self.consumed < self._window and not self._is_closed:
                self._on_thread_deliver(next(iterator))
                if monotonic() > until:
                    return
        except StopIteration:
            self._on_thread_end()
        except BaseException as error:
            self._error = error
            self._on_thread_end()

    def _on_thread_deliver(self, item: T) -> None:
        self._produced += 1
        with self._lock:
            self._buffer.append(item)
            is_waiting, self._is_waiting = self._is_waiting, False
        if is_waiting:
            self._inbox.post(self._wake)

    def _on_thread_end(self) -> None:
        self._iterator = None
        self._ended = True

    def _on_thread_close(self) -> None:
        iterator, self._iterator = self._iterator, None
        close = getattr(self._iterable if iterator is None else iterator, "close", None)
        if close is not None and not self._ended:
            close()
