"""One event loop in a thread of its own, for all the adapters of a process.

What enters: leases, from any thread (:func:`lease`, :meth:`LoopThread.release`), and callbacks,
through ``LoopThread.inbox``. What leaves: the loop, running in a daemon thread named
``bridge-loop`` for as long as anybody holds a lease on it.

Rule 1. Nothing starts at import. The first lease starts the loop, the last release stops it; who
        comes after that gets a new one.
Rule 2. A loop belongs to one process. A fork leaves threads behind, so the child begins without any
        loop; what it inherited is kept as it is, because closing it could touch what the parent
        still uses.
Rule 3. A finalizer may run anywhere, also in a thread that holds ``_lock``. So it only posts to a
        loop, and the loop's thread releases the lease.
Rule 4. Neither SystemExit nor KeyboardInterrupt ends the loop, whichever task lets one escape:
        other requests are running on it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import traceback
from asyncio import AbstractEventLoop, Task
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextvars import Context
from time import monotonic
from typing import Any, TypeVar

from bridge._threads.loop_inbox import LoopInbox, inbox_of
from bridge._threads.real_threads import NativeThread
from bridge.config import LoopFactory
from bridge.errors import DeadlockError

__all__ = ["LoopThread", "lease", "start_task"]

logger = logging.getLogger("bridge.loop")

T = TypeVar("T")

WIND_DOWN_S = 5.0
STALL_S = 1.0

_lock = threading.Lock()
_threads: dict[LoopFactory | None, LoopThread] = {}
_inherited: list[LoopThread] = []


class LoopThread(NativeThread):
    """An event loop and the thread that runs it. Made by :func:`lease`.

    :ivar loop: the loop; runs from the moment it can be seen here.
    :ivar inbox: the way into it.
    """

    def __init__(self, factory: LoopFactory | None) -> None:
        # A daemon, because an app stuck in foreign code must not keep the interpreter from exiting.
        super().__init__(name="bridge-loop", daemon=True)
        self.factory = factory
        self.leases = 0
        self.loop: AbstractEventLoop
        self.inbox: LoopInbox
        self._stopping = False
        self._made: Future[None] = Future()
        self._probed_at: float | None = None

    def begin(self) -> None:
        """Start the thread, and wait until its loop exists.

        :raises BaseException: whatever the loop factory raised.
        """
        self.start()
        self._made.result()  # ends as soon as the factory returns or raises

    def run(self) -> None:
        try:
            self.loop = (self.factory or _new_loop)()
            self.inbox = inbox_of(self.loop)
        except BaseException as error:
            self._made.set_exception(error)
            return
        self._made.set_result(None)
        try:
            while not self._stopping:
                self._run_on()
            self.loop.run_until_complete(_wind_down(self.loop))
        finally:
            self.loop.close()

    def _run_on(self) -> None:
        try:
            self.loop.run_forever()
        except (SystemExit, KeyboardInterrupt) as error:
            logger.error("%r escaped from a task; the event loop goes on", error, exc_info=error)

    def release(self) -> None:
        """Give a lease back. The last one stops the loop. From any thread but a finalizer."""
        with _lock:
            self.leases -= 1
            if self.leases:
                return
            if _threads.get(self.factory) is self:
                del _threads[self.factory]
        self.inbox.post(self._halt)

    def _halt(self) -> None:
        self._stopping = True
        self.loop.stop()

    # -- from other threads ---------------------------------------------------------------------

    def is_current(self) -> bool:
        """Whether the caller is on this thread."""
        return threading.get_ident() == self.ident

    def refuse_current(self) -> None:
        """:raises DeadlockError: called on this thread, where waiting for the loop never ends."""
        if threading.get_ident() == self.ident:
            raise DeadlockError(
                "an ASGI app behind to_wsgi was called as a WSGI app on the thread of its own "
                "event loop, which would wait for itself. Call it from a worker thread "
                "(await bridge.sync_to_async(...)), or await the ASGI app itself"
            )

    def join_if_released(self, timeout_s: float) -> None:
        """Wait for the thread to end, if nobody holds a lease any more."""
        if not self.leases:
            self.join(timeout_s)

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the loop. From any thread. For what is done once, not per request, and
        so in an empty context: it must not keep the variables of the request that came first."""
        return Context().run(asyncio.run_coroutine_threadsafe, coroutine, self.loop)

    def probe(self) -> None:
        """Find out whether the loop is stuck, and say so with the line that holds it up.

        Called by threads that wait for the loop, every ``STALL_S`` seconds. The loop answers a
        probe as soon as it comes round; one that is still open at the next call tells of a callback
        that has not returned for ``STALL_S``. Logged once for each time.
        """
        sent_at = self._probed_at
        if sent_at is None:
            self._probed_at = monotonic()
            self.inbox.post(self._answer_probe)
        elif 0 < sent_at < monotonic() - STALL_S:
            self._probed_at = 0.0  # reported
            logger.warning(
                "the event loop has been blocked for more than %g s, and every request with it, "
                "by\n%s",
                STALL_S,
                self.stack(),
            )

    def _answer_probe(self) -> None:
        self._probed_at = None

    def stack(self) -> str:
        """What the loop's thread is doing, as lines of a traceback."""
        frame = sys._current_frames().get(self.ident or 0)
        return "".join(traceback.format_stack(frame)) if frame else "(its thread has ended)"


def lease(factory: LoopFactory | None = None) -> LoopThread:
    """The loop of this process that ``factory`` makes, running. Give it back with ``release``.

    :param factory: makes a new event loop; those who pass the same one share a loop. None is
        uvloop's where it is installed, else asyncio's.
    :raises DeadlockError: called on that loop's own thread.
    :raises BaseException: whatever the factory raised.
    """
    with _lock:
        thread = _threads.get(factory)
        if thread is not None:
            thread.refuse_current()
        if thread is None or not thread.is_alive():
            thread = LoopThread(factory)
            thread.begin()  # under the lock: two first requests must not start two loops
            _threads[factory] = thread
        thread.leases += 1
    return thread


def _new_loop() -> AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _wind_down(loop: AbstractEventLoop) -> None:
    """End what still runs on a loop that nobody holds a lease on any more."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        _, stuck = await asyncio.wait(tasks, timeout=WIND_DOWN_S)
        for task in stuck:
            logger.warning("%r ignores its cancellation and is left behind", task)
    await loop.shutdown_asyncgens()
    try:
        await loop.shutdown_default_executor()  # needs a thread, to wait in
    except RuntimeError:  # Python 3.12.0 and 3.12.1 start none at exit (python/cpython#113964)
        logger.debug("the default executor is left to the interpreter", exc_info=True)


# -- the first step of a task ----------------------------------------------------------------------

if sys.version_info >= (3, 12):

    def start_task(
        loop: AbstractEventLoop, coroutine: Coroutine[Any, Any, None], context: Context
    ) -> Task[None]:
        """A task in ``context`` whose first step has run already. For callbacks of ``loop``."""
        return Task(coroutine, loop=loop, context=context, eager_start=True)

else:

    def start_task(
        loop: AbstractEventLoop, coroutine: Coroutine[Any, Any, None], context: Context
    ) -> Task[None]:
        """A task in ``context`` whose first step has run already. For callbacks of ``loop``.

        A new task asks its loop to call its first step soon. Here the loop notes the call instead,
        for just that moment, and the step is made at once.
        """
        steps: list[Callable[[], None]] = []

        def call_soon(step: Callable[[], None], **_: Any) -> None:
            steps.append(step)

        loop.call_soon = call_soon  # type: ignore[method-assign,assignment]  # undone below
        try:
            task = Task(coroutine, loop=loop, context=context)
        finally:
            del loop.call_soon
        context.run(steps[0])
        return task


# -- fork ------------------------------------------------------------------------------------------


def _begin_anew() -> None:
    global _lock
    _lock = threading.Lock()  # another thread may have held it
    _inherited.extend(_threads.values())
    _threads.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
