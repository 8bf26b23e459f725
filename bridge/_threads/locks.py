"""The locks of this package: real ones where gevent has replaced them, and those for ``with``.

A lock that one of our threads waits for, or that is held for a few bytecodes between two threads,
is a real one. Only a lock that a user's greenlet may wait for is ``threading.Lock``.

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
from types import ModuleType
from typing import Any

__all__ = ["GreenletMutex", "InterruptibleMutex", "RealLock", "RealMutex", "original"]


def original(module: ModuleType, name: str) -> Any:
    """What ``module`` had under this name before gevent replaced or removed it; None if it had
    nothing."""
    gevent = sys.modules.get("gevent.monkey")
    if gevent is None:
        return getattr(module, name, None)
    try:
        return gevent.get_original(module.__name__, name)
    except AttributeError:
        return None


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


def GreenletMutex() -> Any:
    """Makes a ``threading.Lock`` for ``with``: held while foreign code runs, or a thread starts."""
    lock = threading.Lock()
    return InterruptibleMutex(lock) if _NEEDS_WRAPPER else lock
