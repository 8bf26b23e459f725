"""bridge's own threads, which start on every thread, also where threads are greenlets."""

from __future__ import annotations

import _thread
import threading
import time

from bridge._threads.greenlets import (
    greenlets_run_here,
    patched_by,
    real_ident,
    real_threads,
)
from bridge.errors import DeadlockError

__all__ = ["OwnThread", "refuse_greenlets"]

POLL_S = 0.002


def refuse_greenlets(what: str) -> None:
    """Check that a thread that is not one of bridge's can run.

    :param what: what needs the thread, for the message.
    :raises DeadlockError: it would be a greenlet of a hub that never runs.
    """
    patcher = patched_by()
    if patcher is not None and not greenlets_run_here():
        raise DeadlockError(
            f"{what} needs a thread, but {patcher} has monkey-patched threading, and the event "
            "loop that runs here does not let greenlets run: it would never start. Do not patch a "
            "process that an ASGI server runs, or patch with thread=False"
        )


class OwnThread(threading.Thread):
    """A thread that a signal handler cannot break at its start.

    In a patched process it is a greenlet, or else a real thread: see
    :mod:`bridge._threads.greenlets`.

    :raises DeadlockError: from ``start()``, under eventlet, where greenlets do not run.
    :raises RuntimeError: from ``start()``: no thread can be started.
    """

    _is_from_pool = False
    _pool_ident: int | None = None
    _pool_ended = False

    def start(self) -> None:
        patcher = patched_by()
        if patcher is None:
            if threading.current_thread() is threading.main_thread():
                self._start_from_another_thread()
            else:
                super().start()
        elif greenlets_run_here():
            super().start()
        elif patcher == "gevent":
            self._start_in_pool()
        else:
            refuse_greenlets(f"thread {self.name!r}")

    def _start_from_another_thread(self) -> None:
        """Signal handlers run on the main thread. One that raises inside ``Thread.start`` may leave
        a lock of ``threading`` locked, after which no thread of the process can start.

        :raises RuntimeError: no thread can be started.
        """
        started = _thread.allocate_lock()
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

    # -- a real thread, in gevent's thread pool --------------------------------------------------

    def _start_in_pool(self) -> None:
        from gevent.threadpool import ThreadPool  # type: ignore[import-untyped]  # has no stubs

        self._is_from_pool = True
        self._pool_ident = 0
        ThreadPool(1).spawn(self._run_in_pool)

    def _run_in_pool(self) -> None:
        self._pool_ident = threading.get_ident()
        here = real_ident()
        real_threads.add(here)
        try:
            self.run()
        finally:
            real_threads.discard(here)
            self._pool_ended = True

    @property
    def ident(self) -> int | None:
        """``threading.get_ident()`` of this thread; 0 until it has begun."""
        return self._pool_ident if self._is_from_pool else super().ident

    def is_alive(self) -> bool:
        return not self._pool_ended if self._is_from_pool else super().is_alive()

    def join(self, timeout: float | None = None) -> None:
        if not self._is_from_pool:
            super().join(timeout)
            return
        # gevent would notify only the thread that started this one, which may have ended.
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._pool_ended and (deadline is None or time.monotonic() < deadline):
            time.sleep(POLL_S)  # gevent's: other greenlets run
