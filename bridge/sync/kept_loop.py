"""The event loop that the process keeps for `async_to_sync`, where there is no other: see ADR 3.

What enters: nothing. What leaves: a running loop in a thread of its own, shared with `to_wsgi`. It
starts at the first call and ends with the process; a forked child starts its own.
"""

from __future__ import annotations

import threading
from asyncio import AbstractEventLoop

from bridge._threads import process
from bridge._threads.loop_thread import LoopThread, acquire_loop

__all__ = ["kept_loop"]

EXIT_JOIN_S = 5.0

_lock = threading.Lock()
_thread: LoopThread | None = None


def kept_loop() -> AbstractEventLoop:
    """The loop, running. From any thread but its own."""
    thread = _thread
    if thread is None or not thread.is_alive():
        thread = _start()
    return thread.loop


def _start() -> LoopThread:
    global _thread
    with _lock:
        if _thread is None or not _thread.is_alive():
            _thread = acquire_loop()
        return _thread


def _end() -> None:
    """At exit: cancel what still runs on the loop, and let it unwind, but not forever."""
    thread = _thread
    if thread is not None and thread.is_alive():
        thread.release()
        thread.join(EXIT_JOIN_S)


def _forget() -> None:
    global _lock, _thread
    _lock = threading.Lock()
    _thread = None


process.in_child(process.Fork.CALLS, _forget)
process.at_exit(process.Exit.KEPT_LOOP, _end)
