"""The threads on which a WSGI server calls us, and what they still have to do when it ends.

A server may leave requests behind that it has accepted: in the queue of an executor, which
``concurrent.futures`` lets run out at the end of the interpreter, or on a thread that is not a
daemon, which Python waits for. Without bridge they are answered. So the apps run until then.

Rule 1. A thread is remembered at its first call, once. Only the server's threads call us, so the
        executors and threads of an app, which may need its shutdown to end, are not waited for.
Rule 2. A queue has run out when each of its threads has reached a checkpoint, a job that is put
        behind all others, or has ended.
Rule 3. Python would wait for as long as a thread runs. But the apps are also to be shut down where
        one hangs: after ``idle_s`` without a job that is taken, the wait is over.
"""

from __future__ import annotations

import concurrent.futures.thread
import threading
import time
from concurrent.futures import Future
from typing import Any
from weakref import WeakSet

__all__ = ["remember_thread", "wait_for_server_threads"]

POLL_S = 0.05

_threads: WeakSet[threading.Thread] = WeakSet()


def remember_thread() -> None:
    """This thread belongs to a server."""
    thread = threading.current_thread()
    if thread is not threading.main_thread():
        _threads.add(thread)


def wait_for_server_threads(idle_s: float) -> None:
    """Wait until the requests that servers have accepted are answered: Rules 2 and 3.

    A KeyboardInterrupt ends the wait.

    :param idle_s: how long to wait for the next thread or job that ends, in seconds.
    """
    here = threading.current_thread()
    queues = _queues(here)
    of_executors = {thread for threads in queues.values() for thread in threads[1]}
    checkpoints = [_Checkpoint(queue, threads) for queue, threads in queues.values()]
    alone = [
        thread
        for thread in list(_threads)
        if not thread.daemon and thread is not here and thread not in of_executors
    ]
    try:
        _wait(checkpoints, alone, idle_s)
    except KeyboardInterrupt:
        pass
    finally:
        for checkpoint in checkpoints:
            checkpoint.release()


def _queues(here: threading.Thread) -> dict[int, tuple[Any, list[threading.Thread]]]:
    """The queues of servers' executors, with all their threads but this one."""
    known = dict(concurrent.futures.thread._threads_queues)
    servers = {id(known[thread]) for thread in list(_threads) if thread in known}
    queues: dict[int, tuple[Any, list[threading.Thread]]] = {}
    for thread, queue in known.items():
        if id(queue) in servers and thread is not here:
            queues.setdefault(id(queue), (queue, []))[1].append(thread)
    return queues


class _Checkpoint:
    """A job for each thread of an executor, which keeps it until :meth:`release`."""

    def __init__(self, queue: Any, threads: list[threading.Thread]) -> None:
        self.future: Future[None] = Future()  # an executor that drops its jobs cancels it
        self._queue = queue
        self._threads = threads
        self._reached: set[threading.Thread] = set()
        self._released = threading.Event()
        for _ in threads:
            queue.put(self)

    def run(self, *_: Any) -> None:
        """On a thread of the executor, which passes a context since Python 3.14."""
        self._reached.add(threading.current_thread())
        self._released.wait()

    def release(self) -> None:
        self._released.set()

    def left(self) -> int:
        """How many jobs and threads are left."""
        running = [each for each in self._threads if each.is_alive() and each not in self._reached]
        return self._queue.qsize() + len(running) if running else 0


def _wait(checkpoints: list[_Checkpoint], alone: list[threading.Thread], idle_s: float) -> None:
    left, since = -1, time.monotonic()
    while True:
        before = left
        left = sum(checkpoint.left() for checkpoint in checkpoints)
        left += sum(thread.is_alive() for thread in alone)
        if not left:
            return
        now = time.monotonic()
        if left != before:
            since = now
        elif now - since > idle_s:
            return
        time.sleep(POLL_S)
