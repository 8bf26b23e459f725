"""Sends the rest of a response: in one task, on the event loop, in the context of the app.

Input: the chunks of a :class:`~bridge.wsgi_to_asgi.rest.Rest`. Output: messages, under the rules
that hold for what the thread has sent before: never more than Content-Length, never a clean end
with less.
"""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from contextvars import Context
from typing import Protocol

from bridge._threads.asgiref_state import rehome
from bridge.types import Message
from bridge.wsgi_to_asgi.rest import Rest, Threads

__all__ = ["PAUSE_EVERY", "send_rest"]

PAUSE_EVERY = 16
"""How many chunks are sent before the loop runs other tasks: neither the iterator nor ``send`` need
ever wait. uvicorn's ``send`` does not after a disconnect."""


class Response(Protocol):
    """What the thread side has left: a :class:`~bridge.wsgi_to_asgi.thread_side.ThreadSide`."""

    context: Context
    rest: Rest | None

    def fit(self, chunk: bytes) -> bytes: ...

    @property
    def is_full(self) -> bool: ...

    def end(self) -> None: ...

    def add_error(self, error: BaseException) -> None: ...


class Channel(Protocol):
    """The request that a rest belongs to. What returns a bool returns whether more is wanted.

    :ivar is_over: the client has disconnected.
    """

    @property
    def is_over(self) -> bool: ...

    async def start(self, head: Message) -> bool: ...

    async def send_body(self, body: bytes, *, ended: bool) -> bool: ...


async def send_rest(
    job: Response, head: Message, channel: Channel, threads: Threads, window: int
) -> None:
    """Send the rest that ``job`` has left. What it raises becomes the error of the job.

    :param head: the message that begins the response.
    :param window: how many bytes are sent at once.
    """
    writer = _Writer(job, channel, window)
    try:
        if job.context:
            rehome(job.context)
        if job.rest is None or channel.is_over or not await channel.start(head):
            return
        await job.rest.send(writer.write, threads)
        if not channel.is_over:
            job.end()
            if not writer.is_complete:
                await channel.send_body(b"", ended=True)
    except BaseException as error:
        if not (isinstance(error, CancelledError) and channel.is_over):
            job.add_error(error)


class _Writer:
    """:ivar is_complete: Content-Length has been reached, so the last chunk was the end."""

    __slots__ = ("_channel", "_job", "_turns", "_window", "is_complete")

    def __init__(self, job: Response, channel: Channel, window: int) -> None:
        self._job = job
        self._channel = channel
        self._window = window
        self._turns = 0
        self.is_complete = False

    async def write(self, chunk: bytes) -> bool:
        """Send a chunk, as far as it fits. False: no more is wanted."""
        self._turns += 1
        if not self._turns % PAUSE_EVERY:
            await asyncio.sleep(0)
        fitting, window = self._job.fit(chunk), self._window
        for offset in range(0, len(fitting), window):
            piece = fitting[offset : offset + window]
            self.is_complete = self._job.is_full and offset + window >= len(fitting)
            if not await self._channel.send_body(piece, ended=self.is_complete):
                return False
        return len(fitting) == len(chunk) and not self._channel.is_over
