"""Threads of the operating system, also where gevent has turned ``threading``'s into greenlets.

What enters: a thread's ``run``. What leaves: the same, on a thread of its own.

gevent and eventlet replace ``threading`` by greenlets, which all live in one thread. An event loop
or a blocking function put into such a "thread" holds up every other; and what asyncio knows of a
thread, the loop that runs there, is then the same for all of them. So under gevent our threads come
from gevent's own thread pool, which is of real ones. eventlet has none that could wake a greenlet.

A lock that a thread of ours waits at, or that is held for a few bytecodes between two threads, is a
:data:`RealLock`. Only one that a greenlet of the user's may wait at is ``threading.Lock``.
"""

from __future__ import annotations

import _thread
import atexit
import select
import sys
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

from bridge.errors import DeadlockError

POLL_S = 0.002

__all__ = [
    "NativeThread",
    "RealLock",
    "call_before_exit",
    "patched_by",
    "real_poll",
    "refuse_greenlets",
]


def _original(module: ModuleType, name: str) -> Any:
    """What ``module`` had under this name before gevent has replaced it; None without it."""
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None and hasattr(module, name):
        return gevent.get_original(module.__name__, name)
    return getattr(module, name, None)


RealLock: Any = _original(_thread, "allocate_lock")
"""Makes a lock of the interpreter's, whether or not ``threading`` is patched, now or later."""

real_poll: Callable[[], Any] | None = _original(select, "poll")
"""``select.poll`` of the system, for a look that waits for nothing: gevent's knows fewer events."""


def patched_by() -> str | None:
    """Who has replaced ``threading`` by greenlets: ``"gevent"``, ``"eventlet"`` or None."""
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None and gevent.is_module_patched("threading"):
        return "gevent"
    eventlet = sys.modules.get("eventlet.patcher")
    if eventlet is not None and eventlet.is_monkey_patched("thread"):
        return "eventlet"
    return None


def refuse_greenlets(what: str) -> None:
    """
    :raises DeadlockError: ``threading`` is patched, and ``what`` needs a thread not made here.
    """
    patcher = patched_by()
    if patcher is not None:
        raise DeadlockError(
            f"{what} needs a real thread, and {patcher}.monkey has replaced threads by greenlets "
            "of one thread, where it would never run. Patch with thread=False, or use a worker "
            "class with threads"
        )


def call_before_exit(callback: Callable[[], object]) -> None:
    """Call ``callback`` once when the interpreter ends, on its main thread, while threads can still
    be started. ``atexit`` comes too late: executors refuse jobs by then. The second time the same
    callback is given changes nothing.
    """
    if callback in _before_exit:
        return
    _before_exit.add(callback)
    try:
        register = threading._register_atexit  # type: ignore[attr-defined]  # what executors use
        register(callback)
    except (AttributeError, RuntimeError):
        atexit.register(callback)


_before_exit: set[Callable[[], object]] = set()


class NativeThread(threading.Thread):
    """A thread that is real even under gevent.

    :raises DeadlockError: from ``start()``, under eventlet.
    """

    _is_native = False
    _native_ident: int | None = None
    _native_ended = False

    def start(self) -> None:
        patcher = patched_by()
        if patcher is None:
            super().start()
            return
        if patcher != "gevent":
            refuse_greenlets(f"thread {self.name!r}")
        from gevent.threadpool import ThreadPool  # type: ignore[import-untyped]  # has no stubs

        self._is_native = True
        self._native_ident = 0
        ThreadPool(1).spawn(self._run_native)

    def _run_native(self) -> None:
        self._native_ident = threading.get_ident()
        try:
            self.run()
        finally:
            self._native_ended = True

    @property
    def ident(self) -> int | None:
        """As ``threading.get_ident()`` says on this thread; 0 until it has begun."""
        return self._native_ident if self._is_native else super().ident

    def is_alive(self) -> bool:
        if not self._is_native:
            return super().is_alive()
        return not self._native_ended

    def join(self, timeout: float | None = None) -> None:
        if not self._is_native:
            super().join(timeout)
            return
        # gevent would tell only the thread that has started this one, and that may be gone by now.
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._native_ended and (deadline is None or time.monotonic() < deadline):
            time.sleep(POLL_S)  # gevent's: other greenlets go on
