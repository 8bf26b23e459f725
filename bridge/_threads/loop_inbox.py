"""A mailbox into an event loop: any thread posts callbacks, the loop runs them in order.

What enters: callables, from any thread. What leaves: the same callables, run on the loop's thread.

Rule 1. The loop is woken once for many posts. Only the post that finds the inbox asleep rings the
        :class:`~bridge._threads.doorbell.Doorbell`; posts until the next drain ride along.
Rule 2. A drain marks the inbox asleep *before* it takes anything out, so a post that comes during
        a drain is either taken by it or wakes the loop again. Nothing is ever left behind; the
        worst case is one wake-up too many.
Rule 3. One drain takes only what was there when it began, so a flood of posts cannot starve the
        loop's sockets.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from weakref import WeakKeyDictionary

from bridge._threads.doorbell import Doorbell
from bridge._threads.real_threads import RealLock

logger = logging.getLogger("bridge.inbox")

_inboxes: WeakKeyDictionary[asyncio.AbstractEventLoop, LoopInbox] = WeakKeyDictionary()


class LoopInbox:
    """Callbacks on their way to one event loop. Make it with :func:`inbox_of`.

    :ivar lock: for the pipes between this loop and other threads, where one of them goes to sleep.
    :ivar wakeups: how often the loop has been woken, for tests and statistics.
    """

    __slots__ = ("_awake", "_bell", "_posts", "lock", "wakeups")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._posts: deque[Callable[[], object]] = deque()
        self._awake = False
        self._bell = Doorbell(loop)  # weak: the inbox is the value under its loop in a weak dict
        self.lock = RealLock()
        self.wakeups = 0

    def post(self, callback: Callable[[], object]) -> bool:
        """Run ``callback`` on the loop soon. From any thread; never blocks.

        :returns: False if the loop is closed, and the callback will never run.
        """
        self._posts.append(callback)
        return self._awake or self._wake()

    def _wake(self) -> bool:
        self._awake = True
        self.wakeups += 1
        try:
            rung = self._bell.ring(self._drain)
        except BaseException:  # of a signal handler: before the bell rang, or after
            self._wake()
            raise
        if rung:
            return True
        self._awake = False  # the loop is closed
        self._posts.clear()
        return False

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


def inbox_of(loop: asyncio.AbstractEventLoop) -> LoopInbox:
    """The inbox of ``loop``, made on first use and dropped with the loop."""
    inbox = _inboxes.get(loop)
    if inbox is None:
        inbox = _inboxes.setdefault(loop, LoopInbox(loop))
    return inbox
