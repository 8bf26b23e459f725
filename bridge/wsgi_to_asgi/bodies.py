"""Bounded byte pipes between an event loop and a worker thread, one class for each direction.

Rule 1. One thread writes a pipe, one thread reads it. Each counter has a single writer.
Rule 2. Chunks are passed in a ``deque``, whose ``append`` and ``popleft`` are atomic on every build
        of CPython. The lock is only for going to sleep: a thread that sleeps sets its flag under
        the lock, and a thread that may have to wake it reads the flag under the lock.
Rule 3. The loop is never blocked: it waits for a future, which the worker sets through the inbox.
        A worker thread sleeps on a lock that is held meanwhile; everything that can end its wait
        releases the lock: data or room, the end of the stream, a disconnect.
Rule 4. Neither pipe is ever more than its window ahead, give or take the chunk that crosses it.
        A request body may be ``SPARE_BYTES`` more for each of ``WIDEN_AFTER_S``: rule 8. So may
        the first chunk of one that was read before a thread was taken.
Rule 5. A pipe is never part of a reference cycle: a request is freed when it ends, not by the
        garbage collector.
"""

from __future__ import annotations

import asyncio
import io
import threading
from asyncio import Future, get_running_loop
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import Context, copy_context
from time import monotonic
from typing import TYPE_CHECKING

from bridge._threads.context import adopt_changes
from bridge._threads.locks import RealMutex
from bridge._threads.loop_inbox import LoopInbox
from bridge.errors import AppProtocolError, BodyTimeout, ClientDisconnected
from bridge.types import RawHeaders
from bridge.wsgi_to_asgi.spool import Spool, Spools

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["SLOW_S", "RequestBody", "ResponseBody", "check_chunk"]

BURST_S = 0.001
SLOW_S = 0.01
"""How long a thread waits for room before the response goes on without it."""
FEED_S = 0.01
"""Enough turns of the loop to feed what has arrived while it was blocked."""
UNREAD_TICK_S = 1.0
WIDEN_AFTER_S = 1, 4, 16, 64
DROP_AFTER_S = 256
SPARE_BYTES = 1 << 20
BIG_BYTES = 16384
"""Chunks of this size and more are not joined: copying costs more than another message."""
PIECE_BYTES = 65536
"""Chunks are joined to at most this size. Servers buffer a number of messages, of any size."""


class RequestBody(io.RawIOBase):
    """The request body: the loop feeds it, the worker thread reads it as a raw binary stream.

    Rule 8. A server reports a disconnect only after the part of the body that it has received
            before, and an app that streams its response may never read that. hypercorn, which
            queues most, has up to 11 messages of 64 KiB. So while the app sends and does not read,
            the window is widened, less and less often; each time is enough to reach the disconnect
            of a client that has left in between. An app that has sent for ``DROP_AFTER_S`` without
            a read gets no more: the rest is dropped, which bounds memory, and a later read raises.
            Time in which the app does not send either does not count: its thread is not lost, and
            could not be stopped.

    Wrapped in an :class:`io.BufferedReader` it is a complete ``wsgi.input``.

    :param inbox: of the loop that feeds it.
    :param window: how many bytes may be ahead of the app.
    :param timeout_s: how long a read waits for the client, in seconds; None: forever.
    :param on_stall: called on the worker thread when a read has waited for that long.
    :ivar stalled: what that read raises. Set before ``on_stall`` is called.
    :ivar taken: how many bytes the app has read.
    """

    def __init__(
        self,
        inbox: LoopInbox,
        window: int,
        timeout_s: float | None = None,
        on_stall: Callable[[], object] | None = None,
    ) -> None:
        super().__init__()
        self._inbox = inbox
        self._window = window
        self._timeout_s = timeout_s
        self._on_stall = on_stall
        self.stalled: BodyTimeout | None = None
        self._lock = RealMutex()
        self._sleep_lock = threading.Lock()
        self._sleep_lock.acquire()
        self._chunks: deque[bytes] = deque()
        self._offset = 0  # of the first chunk: how much of it has been read
        self.taken = 0
        self._ahead = 0
        self._paused = False
        self._response: ResponseBody | None = None  # once it has begun
        self._unread_s = 0  # since the last read, while the app sends
        self._widened = 0
        self._accepted = 0  # of the response, in bytes
        self._sleeping = False
        self._sleeps = 0
        self._ended = False
        self._error: ClientDisconnected | None = None
        self._room: Future[None] | None = None

    # -- on the loop ----------------------------------------------------------------------------

    def feed(self, chunk: bytes) -> None:
        """Add bytes. Before the next ones, wait for :meth:`wait_for_room`.

        After a failure they are dropped: no later read may continue where one has raised.
        """
        with self._lock:
            if chunk and self._error is None:
                self._chunks.append(chunk)
                self._ahead += len(chunk)
            self._paused = self._ahead >= self._window and self._error is None
            self._wake_reader()

    def pause(self) -> None:
        """No room until the app reads for the first time."""
        self._paused = True

    async def wait_for_room(self) -> None:
        """Wait until the app has read enough for more to be fed."""
        while self._paused:
            with self._lock:
                if not self._paused:
                    return
                self._room = room = get_running_loop().create_future()
            if self._response is None:
                await room
            elif not (await asyncio.wait((room,), timeout=UNREAD_TICK_S))[0]:
                self._count_unread(self._response)

    def response_started(self, response: ResponseBody) -> None:
        """The response has begun. What :meth:`pause` held back is read now; see rule 8."""
        self._response = response
        with self._lock:
            if not self._ahead:
                self._paused = False
        self._make_room()

    def _count_unread(self, response: ResponseBody) -> None:
        """The window has been full for a tick: widen it, or drop the rest, if it is time to."""
        written, accepted = response.progress()
        before, self._accepted = self._accepted, accepted
        if self._widened and accepted == before == written:
            return  # the app sends nothing
        with self._lock:
            self._unread_s += 1
            if self._widened < len(WIDEN_AFTER_S):
                if self._unread_s >= WIDEN_AFTER_S[self._widened]:
                    self._widened += 1
                    self._window += SPARE_BYTES
                    self._paused = self._ahead >= self._window
            elif self._unread_s >= DROP_AFTER_S and self._error is None:
                self._error = BodyTimeout(DROP_AFTER_S, unread=True)
                self._paused = False

    def _make_room(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def end(self) -> None:
        """The body is complete. Without effect after a failure: then it is not."""
        with self._lock:
            if self._error is None:
                self._ended = True
                self._wake_reader()

    def fail(self, reason: str) -> None:
        """The body is cut short: reads raise :class:`ClientDisconnected`, and never return EOF.

        Bytes received before can still be read. Without effect after :meth:`end`.
        """
        with self._lock:
            if not self._ended and self._error is None:
                self._error = ClientDisconnected(reason)
                self._wake_reader()

    def _wake_reader(self) -> None:
        if self._sleeping:
            self._sleeping = False
            self._sleep_lock.release()

    @property
    def is_empty(self) -> bool:
        """Whether the worker sleeps until the client has sent more. From any thread."""
        return self._sleeping

    # -- on the worker thread -------------------------------------------------------------------

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read at least one byte, waiting for it; 0 only at the clean end of the body.

        :raises ClientDisconnected: the client disconnected before it had sent everything.
        :raises BodyTimeout: the client has sent nothing for ``timeout_s``.
        """
        view = memoryview(buffer).cast("B")
        if not view:
            return 0
        while True:
            with self._lock:  # all decisions below follow from the state at this point
                count = self._take(view)
                self._unread_s = 0
                ended = self._ended
                if not count and not ended:
                    if self._error is not None:
                        raise self._error
                    self._sleeping = True
                    self._sleeps += 1
                room = self._paused and self._ahead <= self._window // 2 and not ended
                if room:
                    self._paused = False
            if room:
                self._inbox.post(self._make_room)
            if count or ended:
                return count
            self._sleep()

    def _sleep(self) -> None:
        """Sleep until the loop wakes this thread, or the client has had ``timeout_s``.

        Twice that if the loop does not run.
        """
        timeout_s = self._timeout_s
        if timeout_s is None:
            self._sleep_lock.acquire()
            return
        limit_s = min(timeout_s, threading.TIMEOUT_MAX)
        if self._sleep_lock.acquire(timeout=limit_s):
            return
        # The loop may have been blocked, or starved by other threads: let it feed what has arrived.
        sleep = self._sleeps
        posted = self._inbox.post(lambda: get_running_loop().call_later(FEED_S, self._stall, sleep))
        if not (posted and self._sleep_lock.acquire(timeout=limit_s)):  # it has stopped
            self._stall(sleep)
            self._sleep_lock.acquire()
        if self.stalled is not None and self._on_stall is not None:
            self._on_stall()

    def _stall(self, sleep: int) -> None:
        """End this sleep, unless it has ended. On the loop, or on the worker thread."""
        with self._lock:
            if self._sleeping and self._sleeps == sleep and self._timeout_s is not None:
                self._error = self.stalled = BodyTimeout(self._timeout_s)
                self._wake_reader()

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
        self.taken += count
        return count


class SendHabits:
    """Whether ``send`` sets context variables, as middleware around an adapter may do.

    :ivar in_step: the app waits until each chunk is sent, and then sees what ``send`` has set. True
        until the first response that streams has shown whether it sets any.
    """

    __slots__ = ("_known", "in_step")

    def __init__(self, *, in_step: bool = True) -> None:
        self._known = False
        self.in_step = in_step

    def learn(self, sets_variables: bool) -> None:
        """On the loop, after a call of ``send``."""
        if sets_variables or not self._known:
            self._known = True
            self.in_step = sets_variables


class ResponseBody:
    """The response body: the worker thread writes it, the loop takes all that is pending at once.

    Rule 6. A notification costs more than a hundred small chunks. So while chunks are written in
            quick succession, the loop does not wait for one: it polls, after ``BURST_S``. What must
            not wait for that, such as the end, is announced with :meth:`flush`.
    Rule 7. The loop clears ``notified`` before it reads anything that the worker sets. So a change
            that comes too late to be read is notified once more.

    Rule 8. Context variables that ``send`` sets are published before the bytes are accepted. The
            worker adopts them between two chunks.

    Rule 9. A thread that has waited for ``SLOW_S`` goes on with a `Spool`, which comes after all
            chunks. It adds no chunk again before the spool is drained, and then that is dropped. So
            the loop takes the chunks, then what is in the spool that was there before.

    :param inbox: of the loop that takes.
    :param window: how many bytes the app may be ahead of what the server has accepted.
    :param habits: of the ``send`` that it is sent with; None: the app never goes in step with it.
    :param spools: make the spool; None: the thread waits for room.
    :ivar headers: of the response, once it has begun.
    :ivar spool: what follows the chunks. Set by the worker.
    :ivar published: the context of the loop's task, after what ``send`` has set in it.
    :ivar seen: what the worker has adopted of that.
    :ivar notified: the loop is about to poll. Set by either side, cleared by the loop.
    :ivar disconnected: no more is read. Set on the loop, seen by the worker at its next chunk.
    :ivar written: how many bytes the app has written.
    :ivar waiting: how many chunks the last :meth:`take` has left.
    """

    __slots__ = (
        "_accepted",
        "_chunks",
        "_in_burst",
        "_inbox",
        "_lock",
        "_pending_wake",
        "_polls",
        "_sleep_lock",
        "_sleeping",
        "_taken_at",
        "_waiter",
        "_whole",
        "disconnected",
        "habits",
        "headers",
        "notified",
        "published",
        "seen",
        "spool",
        "spools",
        "waiting",
        "window",
        "written",
    )

    def __init__(
        self,
        inbox: LoopInbox,
        window: int,
        habits: SendHabits | None = None,
        spools: Spools | None = None,
    ) -> None:
        self._inbox = inbox
        self.window = window
        self.spools = spools
        self.spool: Spool | None = None
        self.headers: RawHeaders = []
        self.habits = SendHabits(in_step=False) if habits is None else habits
        self.published = self.seen = copy_context()
        self.notified = False
        self.disconnected = False
        self.waiting = 0
        self._lock = inbox.lock
        self._sleep_lock: threading.Lock | None = None  # made at the first sleep
        self._chunks: deque[bytes] | None = None  # made at the first write
        self._whole = b""  # a body in one piece, instead of chunks
        self.written = 0  # by the worker only
        self._accepted = 0  # by the loop only
        self._sleeping = False
        self._pending_wake: bool | Exception = False  # how the next wait ends at once
        self._waiter: Future[None] | None = None
        self._taken_at = 0.0
        self._in_burst = False
        self._polls = False

    # -- on the worker thread -------------------------------------------------------------------

    def write(self, chunk: bytes) -> bool:
        """Add a chunk, sleeping first while the window is full. False: disconnected.

        The loop does not see it before :meth:`notify`.
        """
        size = len(chunk)
        is_full = self.written - self._accepted + size > self.window
        if (is_full or self.spool is not None) and self._goes_to_spool(chunk):
            return not self.disconnected
        if self.disconnected:
            return False
        if self._chunks is None:
            self._chunks = deque()
        self._chunks.append(chunk)
        self.written += size
        return True

    def write_each(self, chunks: Iterator[bytes]) -> None:
        """Write every chunk as it is yielded, and notify, until the client disconnects, or the app
        has to go on in step.

        :raises AppProtocolError: a chunk is not ``bytes``.
        """
        if self._chunks is None:
            self._chunks = deque()
        if self.spool is not None:
            self._write_slowly(chunks)
            return
        append = self._chunks.append
        written, limit = self.written, self._accepted + self.window
        for chunk in chunks:
            if type(chunk) is not bytes:
                chunk = check_chunk(chunk)
            if self.disconnected:
                return
            size = len(chunk)
            if written + size > limit:
                self.written = written
                if self._goes_to_spool(chunk):
                    self.notify()
                    self._write_slowly(chunks)
                    return
                limit = self._accepted + self.window
            if size:
                append(chunk)
                written += size
                if not self.notified:
                    self.notify()
                    if self.published is not self.seen:
                        self._adopt()
                        break
        self.written = written

    def _write_slowly(self, chunks: Iterator[bytes]) -> None:
        """As :meth:`write_each`, for a client that was slow."""
        for chunk in chunks:
            if not self.write(check_chunk(chunk)):
                return
            self.notify()
            if self.published is not self.seen:
                self._adopt()
                return

    def _goes_to_spool(self, chunk: bytes) -> bool:
        """Where there was no room for a chunk: wait for it, or write the chunk to the spool.

        :returns: False: there is room now, or the client has disconnected.
        """
        size = len(chunk)
        spool = self.spool
        if spool is None:
            spool = self._open_spool(size)
            if spool is None:
                self._sleep_until_room(size)
                return False
            self.spool = spool
        elif self._has_room(size) and self._leave(spool):
            return False
        if not spool.append(chunk):
            self._sleep_until_room(size)
            if self.disconnected:
                spool.close()
                return False
            if self._leave(spool):
                return False
            spool.append_anyway(chunk)
        self.written += size
        if self.disconnected:
            spool.close()  # the loop closes what it sees when it sets that
        return True

    def _open_spool(self, size: int) -> Spool | None:
        """The spool of a response whose client is slow, if there may be one."""
        if self.spools is None or self.habits.in_step or self.wait_for_room(size, SLOW_S):
            return None
        return self.spools.open(self.headers)

    def _leave(self, spool: Spool) -> bool:
        """Go on without the spool, if it is drained."""
        if not spool.is_drained():
            return False
        self.spool = None
        spool.close()
        return True

    def _has_room(self, size: int) -> bool:
        """A chunk larger than the window is sent alone."""
        ahead = self.written - self._accepted
        return not ahead or ahead + size <= self.window

    def write_whole(self, whole: bytes) -> None:
        """Set the whole body, of any size. Nothing is written before or after it."""
        self._whole = whole
        self.written = len(whole)

    def notify(self) -> None:
        """Wake the loop to take what was written, unless it is about to poll."""
        if not self.notified:
            self.notified = True
            self._inbox.post(self._wake)

    def step(self, *, wait: bool) -> None:
        """Notify. In step, sleep until all is sent. Then adopt what ``send`` has set.

        :param wait: False after the last chunk, which the loop does not accept.
        """
        self.notify()
        if wait and self.habits.in_step:
            self._sleep_until_room(self.window)
        if self.published is not self.seen:
            self._adopt()

    def _adopt(self) -> None:
        published = self.published
        adopt_changes(published, self.seen)
        self.seen = published

    def flush(self) -> None:
        """Wake the loop now, even if it is going to poll a moment later."""
        if self._polls or not self.notified:
            self.notified = True
            self._inbox.post(self._wake)

    def wait_until_sent(self) -> None:
        """For a file instead of chunks: sleep until the loop accepts one byte for it."""
        self.written += 1
        self.flush()
        self._sleep_until_room(self.window)

    def wait_for_room(self, size: int, timeout_s: float) -> bool:
        """Sleep while the window is too full for a chunk, but not for longer than ``timeout_s``.

        :returns: whether :meth:`write` would not sleep now.
        """
        if self.written - self._accepted + size <= self.window:
            return True
        return self._sleep_until_room(size, timeout_s)

    def _sleep_until_room(self, size: int, timeout_s: float = -1) -> bool:
        """
        :param timeout_s: -1: no limit.
        :returns: False after that time.
        """
        if self._polls:
            self.flush()
        while True:
            with self._lock:
                if self.disconnected or self._has_room(size):
                    return True
                if self._sleep_lock is None:
                    self._sleep_lock = threading.Lock()
                    self._sleep_lock.acquire()
                self._sleeping = True
                sleep_lock = self._sleep_lock
            if not sleep_lock.acquire(timeout=timeout_s):
                with self._lock:
                    if self._sleeping:
                        self._sleeping = False
                        return False
                sleep_lock.acquire()  # released at that very moment

    # -- on the loop ----------------------------------------------------------------------------

    def changed(self) -> Future[None]:
        """Done when the worker has notified since the last call, or when it is time to poll.

        Fails after :meth:`abort`, once.
        """
        loop = get_running_loop()
        waiter = self._waiter = loop.create_future()
        if self._pending_wake:
            pending, self._pending_wake = self._pending_wake, False
            if isinstance(pending, Exception):
                self._fail_wait(pending)
            else:
                self._wake()
        elif self._in_burst and self.published is self.seen:
            self.notified = self._polls = True
            self._in_burst = False  # until more is taken
            loop.call_later(BURST_S, self._wake)
        return waiter

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is None:
            self._pending_wake = self._pending_wake or True
            return
        self._waiter = None
        if not waiter.done():  # else the server has cancelled the request
            waiter.set_result(None)

    def abort(self, error: Exception) -> None:
        """Disconnect the worker, and let the wait for a change, or the next one, fail."""
        self.disconnect()
        self._fail_wait(error)

    def _fail_wait(self, error: Exception) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is None:
            self._pending_wake = error
        elif not waiter.done():  # else the server has cancelled the request
            waiter.set_exception(error)

    def poll(self) -> None:
        """Rule 7: to be called before anything is read that the worker sets."""
        self.notified = self._polls = False

    def take(self) -> bytes:
        """The next piece: small chunks that are pending are joined, a big one is returned alone."""
        chunks = self._chunks
        if chunks is None:
            whole, self._whole = self._whole, b""
            return whole
        now = monotonic()
        self._in_burst = bool(chunks) and now - self._taken_at < BURST_S
        self._taken_at = now
        if len(chunks) == 1 or (chunks and len(chunks[0]) >= BIG_BYTES):
            piece = chunks.popleft()
        else:
            piece = b"".join([chunks.popleft() for _ in range(len(chunks))])
            if len(piece) > PIECE_BYTES:
                chunks.appendleft(piece[PIECE_BYTES:])
                piece = piece[:PIECE_BYTES]
        self.waiting = len(chunks)
        return piece

    def publish(self, context: Context) -> None:
        """``send`` has set variables in ``context``: let the worker notice at its next chunk."""
        self.published = context
        self.notified = False

    def accept(self, count: int) -> None:
        """The server has accepted ``count`` bytes: make room."""
        with self._lock:
            self._accepted += count
            self._wake_writer()

    def count(self, size: int) -> None:
        """The loop has sent ``size`` bytes of its own, after all that the worker has written."""
        self.written += size
        self._accepted += size

    @property
    def is_full(self) -> bool:
        """Whether the worker sleeps until the server has taken more. From any thread."""
        return self._sleeping

    def progress(self) -> tuple[int, int]:
        """How many bytes the app has written, and how many of them the server has accepted."""
        return self.written, self._accepted

    def disconnect(self) -> None:
        """No more is read: the worker stops at its next chunk, or right now if it sleeps."""
        with self._lock:
            self.disconnected = True
            self._wake_writer()

    def _wake_writer(self) -> None:
        if self._sleeping and self._sleep_lock is not None:
            self._sleeping = False
            self._sleep_lock.release()


def check_chunk(chunk: object) -> bytes:
    """A chunk of the body, as the app returned it.

    :raises AppProtocolError: it is not ``bytes``.
    """
    if isinstance(chunk, bytes):
        return chunk
    hint = ". Did it return b'...' instead of [b'...']?" if type(chunk) is int else ""
    raise AppProtocolError(
        f"the app sent a chunk of {type(chunk).__name__}; PEP 3333 asks for bytes{hint}"
    )
