"""The locks of this package: which are greenlets' where gevent has replaced them, and for ``with``.

A lock that a server's or a user's thread sleeps on, or that is held while foreign code runs or a
thread starts, is ``threading.Lock``, looked up when it is made: threads may be greenlets by then.
One that is held for a few bytecodes, during which no greenlet switches to another, is always the
interpreter's. What our own threads sleep on is of their kind: :func:`SleepLock`.

Python runs a signal handler on the main thread, between two bytecodes of whatever runs there. If
the handler raises (``KeyboardInterrupt``, the exit of a server's worker), a ``with`` block unlocks
its lock. Python 3.14 has a gap in that (python/cpython#148874; 3.15 has none): a handler that
raises after ``__enter__`` has returned, and before the block begins, leaves the lock locked, and
every thread that wants it waits forever. So each lock that a ``with`` statement takes is made by
:data:`RealMutex` or :func:`GreenletMutex`. A lock that is acquired and released by hand, to sleep
or as a ticket, is not concerned.
"""

from __future__ import annotations

import _thread
import sys
import threading
from collections.abc import Callable
from typing import Any

from bridge._threads.greenlets import greenlets_run_here, original

__all__ = ["GreenletMutex", "InterruptibleMutex", "RealLock", "RealMutex", "SleepLock"]


class InterruptibleMutex:
    """A lock for ``with``, whole on every version of Python.

    A handler runs at the end of a call, at the start of a function, and at the end of each turn of
    a loop. Here none of these acquires the lock: the ``for`` statement does, by taking an item from
    an iterator that calls ``acquire``. From there to the ``with`` block there is only a return.
    ``__exit__`` is that of the lock itself; a Python function could be interrupted at its start.

    :param lock: the lock to wrap.
    """

    __slots__ = ("__exit__", "_acquisitions", "locked")

    __exit__: Callable[..., Any]
    locked: Callable[[], bool]

    def __init__(self, lock: Any) -> None:
        self._acquisitions = iter(lock.acquire, None)  # endless: acquire() returns True
        self.__exit__ = lock.__exit__
        self.locked = lock.locked

    def __enter__(self) -> None:
        for _ in self._acquisitions:
            return


RealLock: Callable[[], Any] = original(_thread, "allocate_lock")
"""Makes a lock of the interpreter, whether or not ``threading`` is patched, now or later."""

_NEEDS_WRAPPER = sys.version_info[:2] == (3, 14)


def _wrapped_real_lock() -> Any:
    return InterruptibleMutex(RealLock())


RealMutex: Callable[[], Any] = _wrapped_real_lock if _NEEDS_WRAPPER else RealLock
"""Makes a :data:`RealLock` for ``with``."""


def SleepLock() -> Any:
    """Makes a lock that one of our threads sleeps on, or the one that starts it; by hand."""
    return threading.Lock() if greenlets_run_here() else RealLock()


def GreenletMutex() -> Any:
    """Makes a ``threading.Lock`` for ``with``: held while foreign code runs, or a thread starts."""
    lock = threading.Lock()
    return InterruptibleMutex(lock) if _NEEDS_WRAPPER else lock
