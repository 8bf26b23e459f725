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
Rule 4. A request that has reached its app is waited for when that is closed. So once no job is
        left, only those are waited for that have not, ``HEAD_S``: a client that sends half a head
        must not keep the apps from their shutdown, before the server kills the process.
"""

from __future__ import annotations

import concurrent.futures.thread
import threading
import time
from concurrent.futures import Future
from queue import Empty
from typing import Any
from weakref import WeakSet

__all__ = ["remember_thread", "wait_for_server_threads"]

POLL_S = 0.05

HEAD_S = 2.0
"""How long a thread that has taken its last job may need for the head of a request."""

_threads: WeakSet[threading.Thread] = WeakSet()


def remember_thread() -> None:
    """This thread belongs to a server."""
    thread = threading.current_thread()
    if thread is not threading.main_thread():
        _threads.add(thread)


def wait_for_server_threads(idle_s: float) -> None:
    """Wait until the requests that servers have accepted are answered: Rules 2 to 4.

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

    def left(self) -> tuple[int, int]:
        """How many jobs and threads are left."""
        running = [each for each in self._threads if each.is_alive() and each not in self._reached]
        if not running:
            return 0, 0
        return self._jobs_left(), len(running)

    def _jobs_left(self) -> int:
        """How many jobs wait in the queue, which has other things too: see :func:`_items`.

        Counted each time: a thread that ends takes ``None`` and puts it back.
        """
        return sum(item is not None and item is not self for item in _items(self._queue))


def _items(queue: Any) -> list[Any]:
    """All that is in a queue: jobs, checkpoints, and ``None``, at which threads of an executor end.

    A ``SimpleQueue`` cannot be looked into, so they are taken out and put back in order.
    """
    items: list[Any] = []
    try:
        while not queue.empty():
            items.append(queue.get_nowait())
    except Empty:  # a thread was faster
        pass
    finally:
        for item in items:
            queue.put(item)
    return items


def _wait(checkpoints: list[_Checkpoint], alone: list[threading.Thread], idle_s: float) -> None:
    left, since = (-1, -1), time.monotonic()
    while True:
        before = left
        lefts = [checkpoint.left() for checkpoint in checkpoints]
        jobs = sum(each[0] for each in lefts)
        threads = sum(each[1] for each in lefts) + sum(thread.is_alive() for thread in alone)
        left = jobs, threads
        if not threads:
            return
        now = time.monotonic()
        if left != before:
            since = now
        elif now - since > (idle_s if jobs else min(idle_s, HEAD_S)):
            return
        time.sleep(POLL_S)
