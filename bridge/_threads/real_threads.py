"""Threads of the operating system, also where gevent has monkey-patched ``threading``.

gevent and eventlet replace ``threading`` by greenlets, which all run in one thread. An event loop
or a blocking function in such a "thread" blocks every other; and asyncio, which keeps the running
loop for each thread, would find the same loop in all of them. So under gevent :class:`RealThread`
takes a thread of gevent's own thread pool, which are real. eventlet is not supported: its
thread pool cannot wake a greenlet.
"""

from __future__ import annotations

import _thread
import select
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from bridge._threads.locks import RealLock, original
from bridge.errors import DeadlockError

POLL_S = 0.002

__all__ = [
    "RealThread",
    "patched_by",
    "real_poll",
    "refuse_greenlets",
]


real_poll: Callable[[], Any] | None = original(select, "poll")
"""The system's ``select.poll``, to poll without waiting: gevent's knows fewer events."""


def patched_by() -> str | None:
    """What has replaced ``threading`` by greenlets: ``"gevent"``, ``"eventlet"`` or None."""
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None and gevent.is_module_patched("threading"):
        return "gevent"
    eventlet = sys.modules.get("eventlet.patcher")
    if eventlet is not None and eventlet.is_monkey_patched("thread"):
        return "eventlet"
    return None


def refuse_greenlets(what: str) -> None:
    """Check that a thread that is not a :class:`RealThread` can still run.

    :param what: what needs the thread, for the message.
    :raises DeadlockError: ``threading`` is patched.
    """
    patcher = patched_by()
    if patcher is not None:
        raise DeadlockError(
            f"{what} needs a real thread, but {patcher} has monkey-patched threading: its "
            "greenlets share one thread, where it would never run. Patch with thread=False, or use "
            "a worker class with threads"
        )


class RealThread(threading.Thread):
    """A thread that is real even under gevent.

    :raises DeadlockError: from ``start()``, under eventlet.
    """

    _is_real = False
    _real_ident: int | None = None
    _real_ended = False

    def start(self) -> None:
        patcher = patched_by()
        if patcher is None:
            if threading.current_thread() is threading.main_thread():
                self._start_from_another_thread()
            else:
                super().start()
            return
        if patcher != "gevent":
            refuse_greenlets(f"thread {self.name!r}")
        from gevent.threadpool import ThreadPool  # type: ignore[import-untyped]  # has no stubs

        self._is_real = True
        self._real_ident = 0
        ThreadPool(1).spawn(self._run_real)

    def _start_from_another_thread(self) -> None:
        """Signal handlers run on the main thread. One that raises inside ``Thread.start`` may leave
        a lock of ``threading`` locked, after which no thread of the process can start.

        :raises RuntimeError: no thread can be started.
        """
        started = RealLock()
        started.acquire()
        errors: list[BaseException] = []
        start = super().start

        def run() -> None:
            try:
                start()
            except BaseException as error:
                errors.append(error)
            finally:
                started.release()

        _thread.start_new_thread(run, ())
        started.acquire()
        if errors:
            raise errors.pop()

    def _run_real(self) -> None:
        self._real_ident = threading.get_ident()
        try:
            self.run()
        finally:
            self._real_ended = True

    @property
    def ident(self) -> int | None:
        """``threading.get_ident()`` of this thread; 0 until it has begun."""
        return self._real_ident if self._is_real else super().ident

    def is_alive(self) -> bool:
        if not self._is_real:
            return super().is_alive()
        return not self._real_ended

    def join(self, timeout: float | None = None) -> None:
        if not self._is_real:
            super().join(timeout)
            return
        # gevent would notify only the thread that started this one, which may have ended.
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._real_ended and (deadline is None or time.monotonic() < deadline):
            time.sleep(POLL_S)  # gevent's: other greenlets run
