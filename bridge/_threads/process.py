"""What happens when the process forks, and when it ends: every step, in one place and in order.

Modules that own threads, loops or locks register a callback for a stage below. Nothing is called
before a fork or before the end of the interpreter.

Rule 1. ``fork()`` copies the memory and the calling thread, no other. A lock that another
        thread held stays locked in the child, and a thread object there has no thread behind it.
        So each owner starts again with new locks and without threads. What the parent still uses
        (open loops, entered context managers) is kept in memory and never finalized.
Rule 2. In the child the stages of :class:`Fork` run from the bottom layer to the top one, on the
        thread that called ``fork()``, before ``os.fork()`` returns. A signal handler may raise
        there (Ctrl-C reaches the child, too): Python reports the exception, and the hook continues
        with the next callback. It is registered three times, so two exceptions are survived.
Rule 3. At the end of the interpreter the stages of :class:`Exit` run in order, on the main thread:
        requests end, then the apps shut down, then the loops and threads end that either may use.
        The first four run while threads can still be started; the others with ``atexit``, when
        Python has joined the threads that are no daemons, and executors refuse jobs already.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable
from enum import IntEnum

__all__ = ["Exit", "Fork", "at_exit", "in_child", "in_parent", "pid"]

logger = logging.getLogger("bridge.pool")

Callback = Callable[[], object]

pid = os.getpid()
"""This process. Read as ``process.pid``: it is updated in a forked child.

For comparisons within bridge, where ``os.getpid()`` would cost too much. A program that forks in C
without calling Python's hooks, as uWSGI does by default, does not update it.
"""


class Fork(IntEnum):
    """What a forked child renews, in this order."""

    POOLS = 1  # worker pools are empty again
    LOOPS = 2  # no event loop runs
    CALLS = 3  # asgiref's single thread, batches and limits of the sync helpers, the kept loop
    ADAPTERS = 4  # AsgiToWsgi: no app runs
    LIFESPANS = 5  # mounted apps have not started
    ROUTERS = 6  # locks of Routers
    CONTROL = 7  # the control socket is the parent's
    METRICS = 8  # nothing has been measured


class Exit(IntEnum):
    """What the end of the interpreter stops, in this order."""

    REQUESTS = 1  # requests that WSGI servers have accepted: they may need threads
    LIFESPANS = 2  # apps mounted on a server that sends no lifespan: they may need threads
    APPS = 3  # apps behind to_wsgi: they may need threads
    METRICS = 4  # the last numbers of this process are written, by a thread
    KEPT_LOOP = 5  # the loop of async_to_sync
    POOLS = 6  # worker threads
    CONTROL = 7  # the control socket


_NEED_THREADS = (Exit.REQUESTS, Exit.LIFESPANS, Exit.APPS, Exit.METRICS)

_in_child: dict[Fork, list[Callback]] = {stage: [] for stage in Fork}
_at_exit: dict[Exit, Callback] = {}


def in_child(stage: Fork, callback: Callback) -> None:
    """Call ``callback`` in every forked child. It must not block, and must not raise."""
    _in_child[stage].append(callback)


def in_parent(callback: Callback) -> None:
    """Call ``callback`` in this process after each fork, on the thread that has forked. It must not
    block, and must not raise. A program that is started, as by ``subprocess``, is no fork."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_parent=callback)


def at_exit(stage: Exit, callback: Callback) -> None:
    """Call ``callback`` once when the interpreter ends. Registering it again changes nothing.

    For a stage that needs threads, register when there is something to stop. The callback that was
    registered last is called first, and executors refuse jobs once that of ``concurrent.futures``
    has been called.
    """
    if _at_exit.get(stage) is callback:
        return
    _at_exit[stage] = callback
    if stage in _NEED_THREADS:
        try:
            threading._register_atexit(_before_threads_end)  # type: ignore[attr-defined]
        except (AttributeError, RuntimeError):  # not CPython, or the end has begun
            pass  # atexit runs it


def _before_threads_end() -> None:
    _run(_NEED_THREADS)


def _after_threads_ended() -> None:
    _run(tuple(Exit))


def _run(stages: tuple[Exit, ...]) -> None:
    for stage in stages:
        callback = _at_exit.pop(stage, None)
        if callback is None:
            continue
        try:
            callback()
        except Exception:
            logger.exception("stopping %s at exit failed", stage.name)


_called = 0  # callbacks that have been called in this child


def _after_fork() -> None:
    global _called, pid
    if pid != os.getpid():
        pid = os.getpid()
        _called = 0
    callbacks = [callback for stage in Fork for callback in _in_child[stage]]
    while _called < len(callbacks):
        _called += 1
        callbacks[_called - 1]()


if hasattr(os, "register_at_fork"):
    for _ in range(3):  # if a signal handler raises in one, the next continues: rule 2
        os.register_at_fork(after_in_child=_after_fork)
atexit.register(_after_threads_ended)
