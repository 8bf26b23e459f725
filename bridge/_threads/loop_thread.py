"""One event loop in a thread of its own, shared by all adapters of a process.

:func:`acquire_loop` and :meth:`LoopThread.release` may be called from any thread. The loop runs in
a daemon thread named ``bridge-loop`` for as long as it has users.

Rule 1. Nothing starts at import. The first user starts the loop, the last release stops it; the
        next user gets a new one.
Rule 2. A loop belongs to one process. A fork leaves threads behind, so the child starts without any
        loop; the inherited one stays in memory as it is, because closing it could touch what the
        parent still uses.
Rule 3. A finalizer may run anywhere, also in a thread that holds ``_lock``. So it only posts to a
        loop, and the loop's thread releases the loop.
Rule 4. The task factory of a loop is the app's, and may raise. Tasks of bridge are made without it,
        by :mod:`bridge._threads.own_tasks`; a loop without users has none.
Rule 5. Neither SystemExit nor KeyboardInterrupt ends the loop when a task lets one escape: other
        requests are running on it.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import traceback
from asyncio import AbstractEventLoop, Task
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import closing
from contextvars import Context
from time import monotonic
from typing import Any, TypeVar

from bridge._threads import process
from bridge._threads.green_loop import runs_here
from bridge._threads.locks import GreenletMutex, RealMutex, SleepLock
from bridge._threads.loop_choice import new_loop
from bridge._threads.loop_inbox import LoopInbox, inbox_of
from bridge._threads.own_tasks import run_threadsafe
from bridge._threads.own_threads import OwnThread
from bridge.errors import DeadlockError
from bridge.types import LoopFactory

__all__ = ["LoopThread", "acquire_loop", "start_task"]

logger = logging.getLogger("bridge.loop")

T = TypeVar("T")

WIND_DOWN_S = 5.0
STALL_S = 1.0

_lock = GreenletMutex()
_threads: dict[LoopFactory | None, LoopThread] = {}
_inherited: list[LoopThread] = []


class LoopThread(OwnThread):
    """An event loop and the thread that runs it. Made by :func:`acquire_loop`.

    :ivar loop: running from the moment it is set here.
    :ivar inbox: posts callbacks to it.
    """

    def __init__(self, factory: LoopFactory | None) -> None:
        # A daemon, because an app stuck in foreign code must not keep the interpreter from exiting.
        super().__init__(name="bridge-loop", daemon=True)
        self.factory = factory
        self.users = 0
        self.loop: AbstractEventLoop
        self.inbox: LoopInbox
        self._stopping = False
        self._made = SleepLock()  # not a future, whose condition a signal handler can break
        self._made.acquire()
        self._is_made = False
        self._is_unused = False
        self._error: BaseException | None = None
        self._probe_lock = RealMutex()
        self._probed_at: float | None = None

    def start_loop(self) -> None:
        """Start the thread, and wait until its loop exists.

        :raises BaseException: whatever the loop factory raised.
        """
        try:
            self.start()
            self._made.acquire()  # as soon as the factory has returned or raised
        except BaseException:  # of a signal handler: nothing will use the loop
            self._is_unused = True
            if self._is_made:
                self.inbox.post(self._stop_loop)
            raise
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # its traceback holds this frame: break the cycle

    def run(self) -> None:
        try:
            self.loop = new_loop(self.factory)
            self.inbox = inbox_of(self.loop)
        except BaseException as error:
            self._error = error
            return
        finally:
            self._made.release()
        self._is_made = True
        if self._is_unused:  # read after the other is set: one side of the two notices
            self.inbox.post(self._stop_loop)
        with closing(self.loop), runs_here(self.loop):
            while not self._stopping:
                self._run_until_stopped()
            self.loop.set_task_factory(None)
            self.loop.run_until_complete(_wind_down(self.loop))

    def _run_until_stopped(self) -> None:
        try:
            self.loop.run_forever()
        except (SystemExit, KeyboardInterrupt) as error:
            logger.error("%r escaped from a task; the event loop continues", error, exc_info=error)

    def release(self) -> None:
        """End one use of the loop; the last one stops it. From any thread, but no finalizer."""
        with _lock:
            self.users -= 1
            if self.users:
                return
            if _threads.get(self.factory) is self:
                del _threads[self.factory]
        self.inbox.post(self._stop_loop)

    def _stop_loop(self) -> None:
        if not self._stopping:
            self._stopping = True
            self.loop.stop()

    # -- from other threads ---------------------------------------------------------------------

    def is_current(self) -> bool:
        """Whether this is the calling thread."""
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
        """Wait for the thread to end, if the loop has no users left."""
        if not self.users:
            self.join(timeout_s)

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the loop. From any thread.

        For what is done once, not per request: it runs in an empty context, so that it does not
        keep the first request's variables.
        """
        return run_threadsafe(coroutine, self.loop)

    def probe(self) -> None:
        """Log a warning with the blocking line if the loop is blocked.

        Called every ``STALL_S`` seconds by threads that wait for the loop. The loop answers a probe
        in its next turn; a probe that is still open at the next call means that a callback has not
        returned for ``STALL_S``. Logged once for each time.
        """
        with self._probe_lock:
            sent_at, now = self._probed_at, monotonic()
            is_blocked = sent_at is not None and 0 < sent_at < now - STALL_S
            if sent_at is None:
                self._probed_at = now
            elif is_blocked:
                self._probed_at = 0.0  # reported
        if sent_at is None:
            self.inbox.post(self._answer_probe)
        elif is_blocked:
            logger.warning(
                "the event loop has been blocked for more than %g s, with every request on it, "
                "by\n%s",
                STALL_S,
                self.stack(),
            )

    def _answer_probe(self) -> None:
        with self._probe_lock:
            self._probed_at = None

    def stack(self) -> str:
        """What the loop's thread is doing, as lines of a traceback."""
        frame = sys._current_frames().get(self.ident or 0)
        return "".join(traceback.format_stack(frame)) if frame else "(its thread has ended)"


def acquire_loop(factory: LoopFactory | None = None) -> LoopThread:
    """The running loop of this process that ``factory`` makes. End its use with ``release()``.

    :param factory: makes a new event loop; users with the same factory share a loop. None: see
        :mod:`bridge._threads.loop_choice`.
    :raises DeadlockError: called on that loop's own thread.
    :raises BaseException: whatever the factory raised.
    """
    with _lock:
        thread = _threads.get(factory)
        if thread is not None:
            thread.refuse_current()
        if thread is None or not thread.is_alive():
            thread = LoopThread(factory)
            thread.start_loop()  # under the lock: two first requests must not start two loops
            _threads[factory] = thread
        thread.users += 1
    return thread


async def _wind_down(loop: AbstractEventLoop) -> None:
    """End what still runs on a loop without users."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        _, stuck = await asyncio.wait(tasks, timeout=WIND_DOWN_S)
        for task in stuck:
            logger.warning("%r ignores its cancellation and is abandoned", task)
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
        """A task in ``context`` whose first step has already run. For callbacks of ``loop``."""
        return Task(coroutine, loop=loop, context=context, eager_start=True)

else:

    def start_task(
        loop: AbstractEventLoop, coroutine: Coroutine[Any, Any, None], context: Context
    ) -> Task[None]:
        """A task in ``context`` whose first step has already run. For callbacks of ``loop``.

        A new task asks its loop to call its first step soon. Here the loop records the
        call instead, for just that moment, and the step runs at once.
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


def _forget_loops() -> None:
    global _lock
    _lock = GreenletMutex()  # another thread may have held it
    _inherited.extend(_threads.values())
    _threads.clear()


process.in_child(process.Fork.LOOPS, _forget_loops)
