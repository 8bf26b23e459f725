"""Reads request bodies before a worker thread is taken. Runs on the event loop thread.

Input: the first message of a body that has more than one. Output: one message with all that was
read, so that the rest of the adapter does not depend on how a client has split its body.

Rule 1. A ``receive()`` that returns without waiting costs nothing here: its first step is taken by
        the calling code, and only a wait reaches :func:`finish_in_time`.
Rule 2. Some servers wait for a moment in each ``receive()``. So a wait sets no timer of its own:
        all that may last equally long are in one queue, whose oldest entry has the only timer.
Rule 3. A bounded number of bodies is read at once. Their memory is that number times the size of
        the buffer, give or take the message that crosses it.
"""

from __future__ import annotations

import asyncio
import types
from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import Generator
from typing import Any
from weakref import WeakKeyDictionary

from bridge.errors import BodyTimeout, PoolSaturated
from bridge.types import Message, Receive

__all__ = ["RequestBuffer", "finish", "finish_in_time"]


class RequestBuffer:
    """The bodies that one adapter reads before it takes threads for them.

    :param size: how many bytes of each body to read; 0 reads none.
    :param threads: how many requests may run at once; 0: that is not known.
    :param backlog: how many may wait for a thread. So many bodies, and one for each thread, may be
        read at once: no request is refused here for which the pool has room.
    """

    def __init__(self, size: int, *, threads: int, backlog: int) -> None:
        self._size = size
        self._threads = threads
        self._backlog = backlog
        self._filling: set[object] = set()  # no counter: loops on several threads may use it

    async def fill(self, message: Message, receive: Receive) -> Message:
        """Read until there are ``size`` bytes, or the body ends.

        :param message: the first one, which is not the last.
        :param receive: returns the next message, or raises if that takes too long.
        :returns: all ``http.request`` messages as one, or an ``http.disconnect``.
        :raises PoolSaturated: as many bodies as allowed are being read.
        """
        first: bytes = message.get("body", b"")
        if len(first) >= self._size:
            return message
        if len(self._filling) >= self._threads + self._backlog:
            raise PoolSaturated(
                f"the bodies of {len(self._filling)} other requests are still arriving "
                f"(threads={self._threads or 'unknown'}, backlog={self._backlog})"
            )
        body = bytearray(first)  # a list of tiny chunks would take far more memory
        entry = object()
        self._filling.add(entry)
        try:
            while len(body) < self._size and message.get("more_body", False):
                message = await receive()
                if message["type"] != "http.request":
                    return message
                body += message.get("body", b"")
        finally:
            self._filling.discard(entry)
        return {**message, "body": bytes(body)}


# -- waits with a timeout --------------------------------------------------------------------------


async def finish_in_time(
    steps: Generator[Any, None, Message], wait: Any, timeout_s: float
) -> Message:
    """Await the rest of a ``receive()``.

    :param steps: its ``__await__()``, after the first step.
    :param wait: what the first step has yielded.
    :param timeout_s: how long it may take, in seconds.
    :raises BodyTimeout: it took longer, and is cancelled.
    """
    queue = _queue_of(get_running_loop(), timeout_s)
    try:
        async with asyncio.timeout(None) as timer:
            queue.add(timer)
            try:
                return await finish(steps, wait)
            finally:
                queue.remove(timer)
    except TimeoutError:
        if timer.expired():
            raise BodyTimeout(timeout_s) from None
        raise  # the server's


class _Queue:
    """The waits of one loop that may last for ``timeout_s``, oldest first."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._since: dict[asyncio.Timeout, float] = {}
        self._has_timer = False

    def add(self, timer: asyncio.Timeout) -> None:
        loop = get_running_loop()
        self._since[timer] = now = loop.time()
        if not self._has_timer:
            self._has_timer = True
            loop.call_at(now + self._timeout_s, self._expire, loop)

    def remove(self, timer: asyncio.Timeout) -> None:
        self._since.pop(timer, None)

    def _expire(self, loop: AbstractEventLoop) -> None:
        """The wait of this timer may have ended long ago: go on to the one that is oldest now."""
        self._has_timer = False
        now = loop.time()
        while self._since:
            timer, since = next(iter(self._since.items()))
            if since + self._timeout_s > now:
                self._has_timer = True
                loop.call_at(since + self._timeout_s, self._expire, loop)
                return
            del self._since[timer]
            timer.reschedule(now)


_queues: WeakKeyDictionary[AbstractEventLoop, dict[float, _Queue]] = WeakKeyDictionary()


def _queue_of(loop: AbstractEventLoop, timeout_s: float) -> _Queue:
    queues = _queues.get(loop)
    if queues is None:
        queues = _queues.setdefault(loop, {})
    queue = queues.get(timeout_s)
    if queue is None:
        queue = queues[timeout_s] = _Queue(timeout_s)
    return queue


@types.coroutine
def finish(steps: Generator[Any, None, Message], wait: Any) -> Generator[Any, None, Message]:
    """``yield from steps``, where the first step has been taken and has yielded ``wait``."""
    try:
        yield wait
    except BaseException as error:  # cancelled: the awaited code has to learn of it
        throw = getattr(steps, "throw", None)
        if throw is None:  # an awaitable that is not written in Python, as in PEP 380
            raise
        try:
            wait = throw(error)
        except StopIteration as done:
            message: Message = done.value
            return message
        return (yield from finish(steps, wait))  # it awaits something else first
    return (yield from steps)
