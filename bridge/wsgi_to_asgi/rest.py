"""The rest of a response that takes no thread until its end: an async iterator, or a file.

Input: what is left of a response when the worker thread goes back to its pool. Output: its chunks,
on the event loop.
"""

from __future__ import annotations

import asyncio
from asyncio import CancelledError, Future
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol, TypeVar

from bridge._frameworks.django import release_connections
from bridge._http.sendfile import FileWrapper

__all__ = ["FileRest", "Rest", "Threads", "Write", "until_done"]

T = TypeVar("T")

Write = Callable[[bytes], Awaitable[bool]]
"""Sends a chunk. False: no more is wanted."""


class Threads(Protocol):
    """For what must not run on the event loop."""

    def call(self, function: Callable[[], T]) -> Future[T]:
        """Call a function on a thread, in an empty context. On the loop."""


class Rest(Protocol):
    """What is left of a response."""

    def leave_thread(self) -> None:
        """Release what belongs to the worker thread. On it, in the context of the app."""

    async def send(self, write: Write, threads: Threads) -> None:
        """Send it, and release what it holds. On the event loop, in the context of the app."""


async def until_done(future: Future[Any]) -> None:
    """Wait for what must not be left half done: a cancellation is raised after it."""
    try:
        await asyncio.wait((future,))
    except CancelledError:
        await asyncio.wait((future,))
        raise


class FileRest:
    """The blocks of a file that any thread may read: one while the one before is sent.

    :param wrapper: the file, from its next block on.
    :param block: one that has been read already.
    """

    def __init__(self, wrapper: FileWrapper, block: bytes) -> None:
        self._wrapper = wrapper
        self._block = block

    def leave_thread(self) -> None:
        """See :class:`Rest`. The file may belong to a response of Django's."""
        release_connections()

    async def send(self, write: Write, threads: Threads) -> None:
        """See :class:`Rest`."""
        block, self._block = self._block, b""
        reading: Future[bytes] | None = None
        try:
            while block:
                reading = threads.call(partial(next, self._wrapper, b""))  # during the write
                if not await write(block):
                    break
                block = await asyncio.shield(reading)
        finally:
            if reading is not None:
                await until_done(reading)  # the file is closed next
                reading.exception()
