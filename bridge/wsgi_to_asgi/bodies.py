"""Bounded byte pipes between an event loop and a worker thread, one class for each direction.

Rule 1. One thread writes a pipe, one thread reads it. Each counter has a single writer.
Rule 2. Chunks travel in a ``deque``, whose ``append`` and ``popleft`` are atomic on every build of
        CPython. The lock is only for going to sleep: whoever sleeps says so under the lock, and
        whoever may have to wake it looks under the lock.
Rule 3. The loop is never blocked: it waits for a future, which the worker sets through the inbox.
        A worker thread sleeps at a gate (a lock that is held while it must wait); everything that
        can end its wait opens the gate: data or room, the end of the stream, the client leaving.
Rule 4. Neither pipe is ever more than its window ahead, give or take the one chunk that crosses it.
        A request body may be ``SPARE`` more: see :meth:`RequestBody.answered`.
Rule 5. A pipe refers to nobody who refers to it: a request is freed when it ends, not by the
        garbage collector.
"""

from __future__ import annotations

import asyncio
import io
import threading
from asyncio import Future, get_running_loop
from collections import deque
from collections.abc import Iterator
from time import monotonic
from typing import TYPE_CHECKING

from bridge._threads.loop_inbox import LoopInbox
from bridge.errors import AppProtocolError, ClientDisconnected

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["RequestBody", "ResponseBody", "checked"]

QUICK_S = 0.001
PATIENCE_S = 1.0
SPARE = 1 << 20
BIG = 16384
"""Chunks from this size on are not joined: to copy one costs more than a message of its own."""


class RequestBody(io.RawIOBase):
    """Request body: the loop feeds it, the worker thread reads it as a raw binary stream.

    Wrapped in an :class:`io.BufferedReader` it is a complete ``wsgi.input``.

    :param inbox: of the loop that feeds it.
    :param window: how many bytes may be ahead of the app.
    """

    def __init__(self, inbox: LoopInbox, window: int) -> None:
        super().__init__()
        self._inbox = inbox
        self._window = window
        self._lock = threading.Lock()
        self._gate = threading.Lock()
        self._gate.acquire()
        self._chunks: deque[bytes] = deque()
        self._offset = 0  # of the first chunk: how much of it has been read
        self._ahead = 0
        self._paused = False
        self._answered = False
        self._sleeping = False
        self._ended = False
        self._error: ClientDisconnected | None = None
        self._room: Future[None] | None = None

    # -- on the loop ----------------------------------------------------------------------------

    def feed(self, chunk: bytes) -> None:
        """Add bytes. Before the next ones, wait for :meth:`room`."""
        with self._lock:
            if chunk:
                self._chunks.append(chunk)
                self._ahead += len(chunk)
            self._paused = self._ahead >= self._window
            self._wake_reader()

    def pause(self) -> None:
        """No room until the app reads for the first time."""
        self._paused = True

    async def room(self) -> None:
        """Wait until the app has read enough for more to come."""
        while self._paused:
            with self._lock:
                if not self._paused:
                    return
                self._room = room = get_running_loop().create_future()
            if not self._answered:
                await room
            elif not (await asyncio.wait((room,), timeout=PATIENCE_S))[0]:
                self._widen()

    def answered(self) -> None:
        """The response has begun.

        A server tells that the client has left only behind what is there of the body. An app that
        answers may never read it. So what :meth:`pause` held back comes now; and where the app has
        not read for ``PATIENCE_S``, the window is ``SPARE`` bytes wider from then on.
        """
        self._answered = True
        with self._lock:
            if not self._ahead:
                self._paused = False
        self._make_room()

    def _widen(self) -> None:
        with self._lock:
            self._answered = False  # once
            self._window += SPARE
            self._paused = self._ahead >= self._window

    def _make_room(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def end(self) -> None:
        """The body is complete."""
        with self._lock:
            self._ended = True
            self._wake_reader()

    def fail(self, reason: str) -> None:
        """The body is cut short: reads raise :class:`ClientDisconnected`, and never look like EOF.

        Bytes that have arrived can still be read first. Without effect after :meth:`end`.
        """
        with self._lock:
            if not self._ended and self._error is None:
                self._error = ClientDisconnected(reason)
                self._wake_reader()

    def _wake_reader(self) -> None:
        if self._sleeping:
            self._sleeping = False
            self._gate.release()

    # -- on the worker thread -------------------------------------------------------------------

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read at least one byte, waiting for it; 0 only at the clean end of the body.

        :raises ClientDisconnected: the client left before it had sent everything.
        """
        view = memoryview(buffer).cast("B")
        if not view:
            return 0
        while True:
            with self._lock:  # what is decided below is decided by what is true here
                count = self._take(view)
                ended = self._ended
                if not count and not ended:
                    if self._error is not None:
                        raise self._error
                    self._sleeping = True
                room = self._paused and self._ahead <= self._window // 2 and not ended
                if room:
                    self._paused = False
            if room:
                self._inbox.post(self._make_room)
            if count or ended:
                return count
            self._gate.acquire()

    def _take(self, view: memoryview) -> int:
        count = 0
        chunks = self._chunks
        while chunks and count < len(view):
            chunk = chunks[0]
            part = memoryview(chunk)[self._offset : self._offset + len(view) - count]
            view[count : count + len(part)] = part
            count += len(part)
            self._offset += len(part)
            if self._offset == len(chunk):
                chunks.popleft()
                self._offset = 0
        self._ahead -= count
        return count


class ResponseBody:
    """Response body: the worker thread writes it, the loop takes all that waits at once.

    Rule 6. A notification costs more than a hundred small chunks. So where chunks come in quick
            succession the loop asks for none: it looks again by itself, after ``QUICK_S``. What
            must not wait for that, such as the end, the worker announces with :meth:`hurry`.
    Rule 7. The loop clears ``notified`` before it looks at anything that the worker sets. So what
            comes too late to be seen is notified once more.

    :param inbox: of the loop that takes.
    :param window: how many bytes the app may be ahead of what the server has accepted.
    :ivar window: the same.
    :ivar notified: the loop is about to look. Set by either side, cleared by the loop.
    :ivar gone: nobody reads any more. Set on the loop, seen by the worker at its next chunk.
    """

    __slots__ = (
        "_accepted",
        "_chunks",
        "_gate",
        "_inbox",
        "_is_quick",
        "_lock",
        "_looks_itself",
        "_news",
        "_sleeping",
        "_taken_at",
        "_waiter",
        "_whole",
        "_written",
        "gone",
        "notified",
        "window",
    )

    def __init__(self, inbox: LoopInbox, window: int) -> None:
        self._inbox = inbox
        self.window = window
        self.notified = False
        self.gone = False
        self._lock = inbox.lock
        self._gate: threading.Lock | None = None  # made when the worker sleeps for the first time
        self._chunks: deque[bytes] | None = None  # made when it writes for the first time
        self._whole = b""  # a body that came in one piece, instead of chunks
        self._written = 0  # by the worker only
        self._accepted = 0  # by the loop only
        self._sleeping = False
        self._news = False
        self._waiter: Future[None] | None = None
        self._taken_at = 0.0
        self._is_quick = False
        self._looks_itself = False

    # -- on the worker thread -------------------------------------------------------------------

    def write(self, chunk: bytes) -> bool:
        """Add a chunk, sleeping first while the window is full. False: nobody reads any more.

        The loop does not know of it before :meth:`notify`.
        """
        size = len(chunk)
        if self._written - self._accepted + size > self.window:
            self._sleep_until_room(size)
        if self.gone:
            return False
        if self._chunks is None:
            self._chunks = deque()
        self._chunks.append(chunk)
        self._written += size
        return True

    def write_each(self, chunks: Iterator[bytes]) -> None:
        """Write every chunk as it comes, and notify, until nobody reads any more.

        :raises AppProtocolError: a chunk is not ``bytes``.
        """
        if self._chunks is None:
            self._chunks = deque()
        append = self._chunks.append
        written, limit = self._written, self._accepted + self.window
        for chunk in chunks:
            if type(chunk) is not bytes:
                chunk = checked(chunk)
            if self.gone:
                return
            size = len(chunk)
            if written + size > limit:
                self._written = written
                self._sleep_until_room(size)
                limit = self._accepted + self.window
            if size:
                append(chunk)
                written += size
                if not self.notified:
                    self.notify()
        self._written = written

    def put(self, whole: bytes) -> None:
        """All of the body, whatever its size. Nothing is written before or after it."""
        self._whole = whole
        self._written = len(whole)

    def notify(self) -> None:
        """Let the loop know that there is something to take, unless it is about to look."""
        if not self.notified:
            self.notified = True
            self._inbox.post(self._wake)

    def hurry(self) -> None:
        """Let the loop know, even if it is about to look by itself a moment later."""
        if self._looks_itself or not self.notified:
            self.notified = True
            self._inbox.post(self._wake)

    def hand_over(self) -> None:
        """For what is not a chunk: notify the loop, and sleep until it accepts one byte for it."""
        self._written += 1
        self.hurry()
        self._sleep_until_room(self.window)

    def _sleep_until_room(self, size: int) -> None:
        if self._looks_itself:
            self.hurry()
        while True:
            with self._lock:
                ahead = self._written - self._accepted
                # A chunk larger than the window goes alone.
                if self.gone or not ahead or ahead + size <= self.window:
                    return
                if self._gate is None:
                    self._gate = threading.Lock()
                    self._gate.acquire()
                self._sleeping = True
                gate = self._gate
            gate.acquire()

    # -- on the loop ----------------------------------------------------------------------------

    def changed(self) -> Future[None]:
        """Done as soon as the worker has notified since the last time, or it is time to look."""
        loop = get_running_loop()
        waiter = self._waiter = loop.create_future()
        if self._news:
            self._news = False
            self._wake()
        elif self._is_quick:
            self.notified = self._looks_itself = True
            self._is_quick = False  # until more is taken
            loop.call_later(QUICK_S, self._wake)
        return waiter

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is None:
            self._news = True
            return
        self._waiter = None
        if not waiter.done():  # done: the server has cancelled the request
            waiter.set_result(None)

    def look(self) -> None:
        """Rule 7: to be called before anything of the worker's is looked at."""
        self.notified = self._looks_itself = False

    def take(self) -> bytes:
        """The next piece: small chunks that wait are joined, one that is big goes alone."""
        chunks = self._chunks
        if chunks is None:
            whole, self._whole = self._whole, b""
            return whole
        now = monotonic()
        self._is_quick = bool(chunks) and now - self._taken_at < QUICK_S
        self._taken_at = now
        if len(chunks) == 1 or (chunks and len(chunks[0]) >= BIG):
            return chunks.popleft()
        return b"".join([chunks.popleft() for _ in range(len(chunks))])

    def waiting(self) -> int:
        """How many chunks the last :meth:`take` has left."""
        return len(self._chunks) if self._chunks else 0

    def accept(self, count: int) -> None:
        """The server has accepted ``count`` bytes: make room."""
        with self._lock:
            self._accepted += count
            self._wake_writer()

    def leave(self) -> None:
        """Nobody reads any more: the worker stops at its next chunk, or right now if it sleeps."""
        with self._lock:
            self.gone = True
            self._wake_writer()

    def _wake_writer(self) -> None:
        if self._sleeping and self._gate is not None:
            self._sleeping = False
            self._gate.release()


def checked(chunk: object) -> bytes:
    """What the app gave for a chunk of the body.

    :raises AppProtocolError: it is not ``bytes``.
    """
    if isinstance(chunk, bytes):
        return chunk
    hint = ", or the app returned bytes where [bytes] was meant" if type(chunk) is int else ""
    raise AppProtocolError(
        f"the app sent a chunk of {type(chunk).__name__}; PEP 3333 asks for bytes{hint}"
    )
