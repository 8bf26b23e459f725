"""A doorbell for an event loop: any thread rings it, the loop answers with one callback.

What enters: rings, from any thread. What leaves: the callback, on the loop's thread, once for all
the rings since its last turn, in an empty context: it answers for many, and so runs in nobody's.

``loop.call_soon_threadsafe`` does the same through a pair of sockets, at the cost of a handle, two
locks and three system calls a ring; an eventfd (Linux) takes one to ring and one to answer. A call
into a thread and back is a third shorter for it on asyncio, and nearly half on uvloop. Where there
is no eventfd, or the loop cannot watch one, the doorbell is ``call_soon_threadsafe``.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextvars import Context
from weakref import ref

__all__ = ["Doorbell"]


class Doorbell:
    """
    :param loop: referred to weakly.
    """

    __slots__ = ("_fd", "_loop", "_refused")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = ref(loop)
        self._fd = -1
        self._refused = False

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def ring(self, answer: Callable[[], object]) -> bool:
        """From any thread; never blocks.

        :param answer: runs on the loop's thread. Always the same one; it is not kept here, because
            whoever it belongs to keeps the doorbell.
        :returns: False if the loop is closed, and nobody will answer.
        """
        loop = self._loop()
        if loop is None or loop.is_closed():
            return False
        if self._fd >= 0:
            os.eventfd_write(self._fd, 1)
            return True
        try:
            loop.call_soon_threadsafe(self._install_and_answer, answer, context=Context())
        except RuntimeError:  # closed in this very moment
            return False
        return True

    # -- on the loop's thread -------------------------------------------------------------------

    def _install_and_answer(self, answer: Callable[[], object]) -> None:
        if self._fd < 0 and not self._refused:
            self._install(answer)
        answer()

    def _install(self, answer: Callable[[], object]) -> None:
        loop = self._loop()
        try:
            fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        except (AttributeError, OSError):  # not Linux, or out of descriptors
            self._refused = True
            return
        try:
            if loop is None:
                raise RuntimeError("no loop")
            loop.add_reader(fd, self._on_ring, answer)
        except (NotImplementedError, RuntimeError):  # a loop that watches no descriptors
            self._refused = True
            os.close(fd)
        else:
            self._fd = fd

    def _on_ring(self, answer: Callable[[], object]) -> None:
        try:
            os.eventfd_read(self._fd)
        except BlockingIOError:  # rung by a fork of this process, which shares the descriptor
            pass
        answer()
