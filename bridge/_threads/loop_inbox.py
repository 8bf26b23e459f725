"""How an event loop is woken: any thread posts callbacks, the loop runs them in order.

Rule 1. The loop is woken once for many posts. Only the post that finds the inbox asleep wakes the
        loop; posts until the next drain ride along.
Rule 2. A drain marks the inbox asleep *before* it takes anything out, so a post that comes during
        a drain is either taken by it or wakes the loop again. Nothing is ever left behind; the
        worst case is one wake-up too many.
Rule 3. One drain takes only what was there when it began, so a flood of posts cannot starve the
        loop's sockets.
Rule 4. The loop is woken through an eventfd (Linux): one system call to wake it, one to answer.
        ``loop.call_soon_threadsafe`` uses a pair of sockets, at the cost of a handle, two locks and
        three system calls. A call into a thread and back takes a third less on asyncio with the
        eventfd, and nearly half on uvloop. Where there is no eventfd, or the loop cannot watch one,
        ``call_soon_threadsafe`` is used.
Rule 5. A drain runs in an empty context: its callbacks belong to many requests.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable
from contextvars import Context
from weakref import WeakKeyDictionary, ref

from bridge._threads.locks import RealMutex

__all__ = ["LoopInbox", "inbox_of", "known_loops"]

logger = logging.getLogger("bridge.inbox")

_inboxes: WeakKeyDictionary[asyncio.AbstractEventLoop, LoopInbox] = WeakKeyDictionary()


class LoopInbox:
    """Callbacks on their way to one event loop. Make it with :func:`inbox_of`.

    :ivar lock: for the pipes between this loop and other threads, where one of them goes to sleep.
    :ivar wakeups: how often the loop has been woken, for tests and statistics.
    """

    __slots__ = ("_awake", "_fd", "_has_no_eventfd", "_loop", "_posts", "lock", "wakeups")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = ref(loop)  # weak: the inbox is the value under its loop in a weak dict
        self._posts: deque[Callable[[], object]] = deque()
        self._awake = False
        self._fd = -1  # the eventfd
        self._has_no_eventfd = False
        self.lock = RealMutex()
        self.wakeups = 0

    def __del__(self, close: Callable[[int], None] = os.close) -> None:  # at exit, os may be gone
        if self._fd >= 0:
            close(self._fd)

    # -- from any thread ------------------------------------------------------------------------

    def post(self, callback: Callable[[], object]) -> bool:
        """Run ``callback`` on the loop soon. Never blocks.

        :returns: False if the loop is closed, and the callback will never run.
        """
        self._posts.append(callback)
        return self._awake or self._wake()

    def pending(self) -> list[Callable[[], object]]:
        """What the loop has not run yet, for statistics."""
        return [*self._posts.copy()]

    def _wake(self) -> bool:
        self._awake = True
        self.wakeups += 1
        try:
            woken = self._wake_loop()
        except BaseException:  # of a signal handler: before the loop was woken, or after
            self._wake()
            raise
        if woken:
            return True
        self._awake = False  # the loop is closed
        self._posts.clear()
        return False

    def _wake_loop(self) -> bool:
        loop = self._loop()
        if loop is None or loop.is_closed():
            return False
        if self._fd >= 0:
            os.eventfd_write(self._fd, 1)
            return True
        try:
            loop.call_soon_threadsafe(self._first_drain, context=Context())
        except RuntimeError:  # closed at this very moment
            return False
        return True

    # -- on the loop's thread -------------------------------------------------------------------

    def _drain(self) -> None:
        self._awake = False
        posts = self._posts
        for _ in range(len(posts)):
            try:
                callback = posts.popleft()
            except IndexError:  # another drain, scheduled in the same turn, took it
                return
            try:
                callback()
            except Exception:
                logger.exception("a callback posted to the event loop failed")
            except BaseException:  # SystemExit of a task ends the loop, which may run once more
                self._wake()
                raise
        if posts and not self._awake:
            self._wake()

    def _first_drain(self) -> None:
        if self._fd < 0 and not self._has_no_eventfd:
            self._open_eventfd()
        self._drain()

    def _open_eventfd(self) -> None:
        loop = self._loop()
        try:
            fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        except (AttributeError, OSError):  # not Linux, or out of descriptors
            self._has_no_eventfd = True
            return
        try:
            if loop is None:
                raise RuntimeError("no loop")
            loop.add_reader(fd, self._on_eventfd)
        except (NotImplementedError, RuntimeError):  # a loop that watches no descriptors
            self._has_no_eventfd = True
            os.close(fd)
        else:
            self._fd = fd

    def _on_eventfd(self) -> None:
        try:
            os.eventfd_read(self._fd)
        except BlockingIOError:  # written by a fork of this process, which shares the descriptor
            pass
        self._drain()


def inbox_of(loop: asyncio.AbstractEventLoop) -> LoopInbox:
    """The inbox of ``loop``, made on first use and dropped with the loop."""
    inbox = _inboxes.get(loop)
    if inbox is None:
        inbox = _inboxes.setdefault(loop, LoopInbox(loop))
    return inbox


def known_loops() -> list[asyncio.AbstractEventLoop]:
    """The open loops that have an inbox. From any thread."""
    loops = (reference() for reference in _inboxes.keyrefs())
    return [loop for loop in loops if loop is not None and not loop.is_closed()]
