"""`iterate_in_threads`: a sync iterable for async code.

What enters: an iterable, from a coroutine. What leaves: its items, there. Items cross in batches,
as they are there: the first at once, and the source never more than a window ahead.

Rule 1. The source is made, asked and closed on one thread, in one context: a copy of the
        consumer's when the iteration began. What the source sets in it stays with the source.
Rule 2. ``_lock`` guards the buffer and the flag that says whether the consumer waits for it.
Rule 3. An error of the source comes after the items before it.
Rule 4. Who leaves early closes the source, in its turn on its thread. A cancelled consumer does not
        wait for that.
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

from bridge._threads.loop_inbox import inbox_of
from bridge._threads.real_threads import RealLock
from bridge.config import positive_int
from bridge.sync.calls import Call
from bridge.sync.reserved_thread import ReservedThread
from bridge.sync.sensitive import post_thread_sensitive
from bridge.sync.to_thread import check_executor

__all__ = ["iterate_in_threads"]

logger = logging.getLogger("bridge.sync")

T = TypeVar("T")

SLICE_S = 0.02
"""The longest that one batch keeps a thread which other thread-sensitive code shares."""


def iterate_in_threads(
    iterable: Iterable[T],
    *,
    window: int = 64,
    thread_sensitive: bool = True,
    executor: Executor | None = None,
) -> AsyncGenerator[T, None]:
    """Iterate over a sync iterable from async code, its ``next`` on a worker thread.

    >>> async for row in bridge.iterate_in_threads(cursor):  # doctest: +SKIP
    ...     await send(row)

    Leaving the loop early closes the source (its ``close()``, if it has one) in its turn on its
    thread. ``contextlib.aclosing`` does so then and there, and waits. Without it, Python closes an
    async generator that was left soon after: on another thread, if the ``async_to_sync`` or the
    ``ThreadSensitiveContext`` around it has ended by then.

    :param iterable: a generator, a queryset, a file: whatever can be iterated.
    :param window: how many items the source may be ahead of the consumer. A slow consumer blocks
        no thread that others need: a full window ends the batch.
    :param thread_sensitive: run where thread-sensitive ``sync_to_async`` calls run, in turns with
        them. False: keep one thread of a pool from beginning to end.
    :param executor: with ``thread_sensitive=False``, the pool whose thread is kept. By default one
        of 128 threads that nothing else uses.
    :raises TypeError: ``iterable`` cannot be iterated, or ``executor`` comes with
        ``thread_sensitive``.
    :raises ConfigError: ``window`` is not an int of 1 or more.
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
        source.keep_thread(ReservedThread(executor, loop))
    try:
        while await source.has_items():
            for item in source.take():
                source.consumed += 1
                yield item
    except CancelledError:
        source.leave()
        raise
    finally:
        await source.close()


class _Source(Generic[T]):
    """A sync iterable, asked in batches. Methods named ``_on_thread_*`` run on its thread.

    :ivar consumed: how many items the consumer has been given; only the loop writes it.
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
        self._left = False
        self._closing = False
        # Below: both sides.
        self._lock = RealLock()
        self._buffer: deque[T] = deque()
        self._hungry = False
        # Below: the thread's, until the loop knows that no batch is running.
        self._iterator: Iterator[T] | None = None
        self._produced = 0
        self._ended = False
        self._error: BaseException | None = None

    def keep_thread(self, lease: ReservedThread) -> None:
        """Run on this lease, and give it back in the end, even if nobody closes the iteration."""
        self._post = lease.post
        self._release = weakref.finalize(self, lease.release)

    # -- on the loop's thread -------------------------------------------------------------------

    async def has_items(self) -> bool:
        """Wait until there are some. False: there will be no more.

        :raises BaseException: what the source raised, once its items are taken.
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
        """The items that are there. Meanwhile the next batch begins, if there is room for it."""
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
        """Ahead of need. Who refuses is asked again when the items that are there are taken."""
        with suppress(Exception):
            self._start_batch()

    def _on_batch_done(self, call: Call) -> None:
        self._fetch = None
        if self._left:
            self._report()
        if call.error is not None:  # the pool was shut down
            self._error, self._ended = call.error, True
        self._wake()

    async def _wait(self) -> None:
        with self._lock:
            if self._buffer:
                return
            self._hungry = True
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _report(self) -> None:
        """The consumer has left; an error of the source that it has not seen must not vanish."""
        error, self._error = self._error, None
        if isinstance(error, Exception):
            logger.error("%r failed after its consumer had left", self._iterable, exc_info=error)

    # -- leaving --------------------------------------------------------------------------------

    async def close(self) -> None:
        """End the iteration, and wait until the source is closed.

        :raises BaseException: what closing it raised.
        """
        call = self._leave()
        if call is not None:
            await call

    def leave(self) -> None:
        """End the iteration without waiting for the thread."""
        call = self._leave()
        if call is not None:
            call.abandoned = True

    def _leave(self) -> Call | None:
        """What closes the source, in its turn on its thread. None: there is nothing to close."""
        if self._left:
            return None
        self._left = self._closing = True
        running = self._fetch
        if running is not None and not running.withdraw():
            running.abandoned = True  # it ends with its current item
        call = None
        if not self._ended or running is not None:
            call = Call(self._on_thread_close, (), {}, self._context, self._loop)
            call.must_run = True
            self._post(call)
        self._release()
        return call

    # -- on the source's thread -----------------------------------------------------------------

    def _on_thread_fetch(self) -> None:
        """One batch: until the window is full, the consumer leaves, or others want the thread."""
        until = monotonic() + SLICE_S
        try:
            if self._iterator is None:
                self._iterator = iter(self._iterable)
            iterator = self._iterator
            while self._produced - self.consumed < self._window and not self._closing:
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
            hungry, self._hungry = self._hungry, False
        if hungry:
            self._inbox.post(self._wake)

    def _on_thread_end(self) -> None:
        self._iterator = None
        self._ended = True

    def _on_thread_close(self) -> None:
        iterator, self._iterator = self._iterator, None
        close = getattr(self._iterable if iterator is None else iterator, "close", None)
        if close is not None and not self._ended:
            close()
