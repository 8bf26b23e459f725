"""Where one thread waits until another lets it go on: two kinds, for two kinds of work.

What enters: ``open()``, from any thread. What leaves: the one thread in ``wait()``.

Whoever releases a lock keeps the interpreter. On one CPU the woken thread finds that out, sleeps
again, and is woken a second time when the interpreter is free. A system call on an eventfd frees
the interpreter for its duration: the woken thread goes on at once.

So a :class:`QuickGate` is for a thread that does one thing while another waits for it: a call into
it and back takes a third less. A :class:`LockGate` is for a thread that does many things for a loop
that has others to do: the loop goes on until it has nothing left, and is not called back after the
first of them. At 32 connections that is worth a twelfth of all requests.
"""

from __future__ import annotations

import os
from typing import Protocol

from bridge._threads.real_threads import RealLock

__all__ = ["Gate", "LockGate", "QuickGate"]


class Gate(Protocol):
    """Closed at first. One ``open()`` lets one ``wait()`` through, whichever comes first."""

    def open(self) -> None:
        """Let the thread go on; never blocks. Not to be called twice for one :meth:`wait`."""

    def wait(self) -> None:
        """Sleep until the gate is open, and close it behind oneself."""


class LockGate:
    """A lock that is held while the gate is closed."""

    __slots__ = ("open", "wait")

    def __init__(self) -> None:
        lock = RealLock()
        lock.acquire()
        self.wait = lock.acquire
        self.open = lock.release


class QuickGate:
    """An eventfd; where there is none (not Linux), or none is left, a lock."""

    __slots__ = ("_fd", "_lock")

    def __init__(self) -> None:
        self._fd = -1
        try:
            self._fd = os.eventfd(0, os.EFD_CLOEXEC)
        except (AttributeError, OSError):
            self._lock = LockGate()

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def open(self) -> None:
        if self._fd >= 0:
            os.eventfd_write(self._fd, 1)
        else:
            self._lock.open()

    def wait(self) -> None:
        if self._fd >= 0:
            os.read(self._fd, 8)  # not eventfd_read, which a signal interrupts
        else:
            self._lock.wait()
