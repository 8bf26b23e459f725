"""What happens at SIGTERM before a server begins its shutdown.

Runs in the process that ``bridge run`` starts: it serves, or it is the master of the workers that
do. SIGTERM first announces the shutdown, to this process and its workers, so that health checks are
answered with 503 (`bridge.cli.healthz`). Only ``drain_s`` later does the server learn of it: until
then it listens, and load balancers send requests elsewhere.

Rule 1. The servers install their handlers in their own ways and at their own times. So
        :func:`signal.signal` is replaced in this process, and puts a :class:`_Announced` in front
        of every handler for SIGTERM.
Rule 2. The wait is a timer of the operating system. A handler may interrupt any code, also code
        that holds a lock of the threading module: it must start no thread.
        It repeats, because a worker that has just been started knows nothing of the announcement.
Rule 3. A second SIGTERM goes to the server at once.
Rule 4. A server that watches SIGTERM through its event loop, as hypercorn does in a single process,
        would not wait: it needs a master.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

__all__ = [
    "announce_before_stop",
    "listen_for_stop",
    "stop_announcing",
    "stop_is_announced",
    "worker_pids",
]

REPEAT_S = 0.2
"""Seconds between two announcements."""

Handler = Callable[[int, Any], Any]

worker_pids: list[Callable[[], Iterable[int]]] = []
"""What returns the process ids of workers. A server that forks them itself adds to it."""

_ANNOUNCEMENT = getattr(signal, "SIGURG", None)
"""What a master sends to its workers. A process that does not handle it ignores it. None where the
system has no such signal."""

_set_handler = signal.signal
_is_announced = False


def stop_is_announced() -> bool:
    """Whether this process stops, or will soon. From any thread."""
    return _is_announced


def listen_for_stop() -> None:
    """In a worker, on its main thread: learn of the announcement of its master."""
    if _ANNOUNCEMENT is not None and threading.current_thread() is threading.main_thread():
        _set_handler(_ANNOUNCEMENT, _note_announcement)


def _note_announcement(number: int, frame: Any) -> None:
    global _is_announced
    _is_announced = True


def announce_before_stop(drain_s: float) -> None:
    """Announce the shutdown at SIGTERM, and wait for ``drain_s`` before the server learns of it."""
    from multiprocessing import active_children  # now, and not in a signal handler

    worker_pids.append(lambda: [child.pid for child in active_children() if child.pid])
    this = os.getpid()

    def set_handler(number: int, handler: Any) -> Any:
        # A forked worker has inherited this function: its own handlers do not wait.
        if number == signal.SIGTERM and callable(handler) and os.getpid() == this:
            handler = handler if isinstance(handler, _Announced) else _Announced(handler, drain_s)
        return _set_handler(number, handler)

    signal.signal = set_handler  # type: ignore[assignment]  # narrower than its overloads


class _Announced:
    """A handler for SIGTERM, behind the announcement of the shutdown."""

    def __init__(self, handler: Handler, drain_s: float) -> None:
        self._handler = handler
        self._drain_s = drain_s

    def __call__(self, number: int, frame: Any) -> None:
        global _is_announced
        if _is_announced:
            stop_announcing()
            self._handler(number, frame)
            return
        _is_announced = True
        _announce_to_workers()
        if not self._drain_s or not hasattr(signal, "setitimer"):
            self._handler(number, frame)
            return
        self._end = time.monotonic() + self._drain_s
        _set_handler(signal.SIGALRM, self._wait)
        signal.setitimer(signal.ITIMER_REAL, min(self._drain_s, REPEAT_S), REPEAT_S)

    def _wait(self, number: int, frame: Any) -> None:
        if time.monotonic() < self._end:
            _announce_to_workers()
            return
        signal.raise_signal(signal.SIGTERM)


def stop_announcing() -> None:
    """End the wait. A timer that is left would end the process while the interpreter exits."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0)


def _announce_to_workers() -> None:
    if _ANNOUNCEMENT is None:
        return
    for pid in [pid for pids in worker_pids for pid in pids()]:
        try:
            os.kill(pid, _ANNOUNCEMENT)
        except ProcessLookupError:
            pass
