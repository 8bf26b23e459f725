"""A thread-sensitive call runs on the same thread that asgiref would choose for it.

The choice depends on asgiref's own state. So calls made through bridge and calls made through
asgiref, by Django's ORM for instance, share one thread and the database connection that belongs to
it. The thread is the first of these that exists:

1. the thread that waits in ``async_to_sync`` for the coroutine that makes the call, or the nearest
   one further out that still waits;
2. the thread of the ``ThreadSensitiveContext`` that the coroutine has entered; a task that outlives
   the context gets another thread, which ends with the context object;
3. the thread that waits for this event loop, if asgiref or ``force_new_loop`` made the loop for it;
4. asgiref's single thread for the whole process.

A thread that no longer waits is skipped, where asgiref fails with "CurrentThreadExecutor already
quit". A call that would wait for its own thread is refused with a
:class:`~bridge.DeadlockError`. asgiref 3.8 and later are supported.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextvars import Token
from typing import Any, cast
from weakref import WeakKeyDictionary

from asgiref.sync import ThreadSensitiveContext as AsgirefContext

from bridge._threads import process
from bridge._threads.asgiref_state import (
    OCCUPIED,
    THREAD_SENSITIVE_CONTEXT,
    context_executors,
    executor_serving,
    executor_waiting_here,
    is_waiting,
    queue_length,
    refuse_exited,
    set_executor_waiting_here,
    shows_its_queue,
    single_thread_executor,
    thread_of,
)
from bridge._threads.job import drop_error, submit_or_discard
from bridge._threads.locks import GreenletMutex
from bridge._threads.loop_inbox import inbox_of
from bridge._threads.own_threads import refuse_greenlets
from bridge.errors import DeadlockError
from bridge.sync.calls import Call
from bridge.sync.waiting_thread import OWN_THREAD, WaitingThread

__all__ = [
    "SerialQueue",
    "ThreadSensitiveContext",
    "post_in_order",
    "post_thread_sensitive",
]

_OCCUPIED = (
    "thread-sensitive sync code runs on one thread, and that thread is busy with the sync code "
    "that started this coroutine: it would deadlock. Start the coroutine with async_to_sync() "
    "there, or await sync_to_async(..., thread_sensitive=False)"
)


# -- the choice ------------------------------------------------------------------------------------


def post_thread_sensitive(call: Call) -> None:
    """Run ``call`` on the thread chosen by the rules above. On its loop, in its caller's context.

    :raises DeadlockError: that thread waits for this very call.
    :raises RuntimeError: the task has outlived its ``ThreadSensitiveContext`` with an executor.
    """
    waiting = executor_waiting_here()
    if waiting is not None and _post_to_waiting(call, waiting):
        return
    context = THREAD_SENSITIVE_CONTEXT.get(None)
    if context is not None:
        refuse_exited(context)
        executor = _executor_of(context)
        _refuse_own_thread(executor)
        post_in_order(call, executor)
        return
    serving = executor_serving(call.loop)
    if serving is not None and _post_to_waiting(call, serving):
        return
    _post_to_single_thread(call, is_orphan=waiting is not None)


def _post_to_waiting(call: Call, executor: Any) -> bool:
    """Returns False if neither that thread nor one further out still waits."""
    while isinstance(executor, WaitingThread):
        if executor.post(call):
            return True
        executor = executor.outer
    if executor is None:
        return False
    _refuse_own_thread(executor)
    try:
        post_in_order(call, executor)
    except RuntimeError:  # asgiref's "already quit"
        return False
    return True


def _executor_of(context: Any) -> Executor:
    executor = context_executors.get(context)
    if executor is None:
        refuse_greenlets("the thread of a ThreadSensitiveContext")
        executor = context_executors.setdefault(context, ThreadPoolExecutor(max_workers=1))
    return cast(Executor, executor)


def _post_to_single_thread(call: Call, *, is_orphan: bool) -> None:
    """
    :param is_orphan: the sync code that started this coroutine has continued without it. Even if it
        still runs on the single thread, it does not wait for this call.
    """
    executor = single_thread_executor()
    if not executor._threads:
        refuse_greenlets("thread-sensitive sync code that no thread waits for")
    elif threading.current_thread() in executor._threads:
        raise DeadlockError(OWN_THREAD)
    if not is_orphan and OCCUPIED.get(False):
        raise DeadlockError(_OCCUPIED)
    call.on_single_thread = True
    post_in_order(call, executor)


def _refuse_own_thread(executor: Any) -> None:
    """:raises DeadlockError: the loop that posts to ``executor`` runs on the executor's thread."""
    here = threading.current_thread()
    waits_here = thread_of(executor) is here and is_waiting(executor)
    if waits_here or here in getattr(executor, "_threads", ()):
        raise DeadlockError(OWN_THREAD)


# -- calls in the queue of an executor with one thread ---------------------------------------------


def post_in_order(call: Call, executor: Executor) -> None:
    """Run ``call`` on an executor with one thread, after all jobs submitted before.

    :raises RuntimeError: the executor accepts no jobs.
    """
    queue = _queues.get(executor)
    if queue is None:
        if not shows_its_queue(executor):
            submit_or_discard(executor, call.run_in_executor, call.discard)
            return
        queue = _queues.setdefault(executor, SerialQueue())
    queue.post(call, executor)


class SerialQueue:
    """Our calls in the queue of asgiref's or a user's executor, which runs one job at a time.

    An executor's ``submit`` costs several times as much as the rest of a call: a future, a
    condition, a queue. So calls that are posted while an earlier one waits or runs join its batch:
    one ``submit`` for all of them. The queue refers to the executor only while it posts.

    Rule 1. A call joins a batch only while the batch is the last job in the executor's queue, as
            the length of that queue shows. So the jobs of others are neither overtaken nor delayed
            by later calls. An executor that hides its queue gets one ``submit`` for each call. (A
            job submitted in the very instant in which the thread takes the batch out of the queue
            may be overtaken; nothing orders those two.) Calls of one batch run, or are dropped by
            the executor, together.
    Rule 2. A batch ends, under the lock, only when it is empty. After that no call joins it.
    """

    __slots__ = ("_last", "_lock")

    def __init__(self) -> None:
        self._lock = GreenletMutex()  # submit() may start a thread
        self._last: _Batch | None = None

    def post(self, call: Call, executor: Executor) -> None:
        """Run ``call`` on ``executor`` after all jobs submitted before.

        ``submit`` is called under the lock: the kinds of executor used here run no job in it.

        :raises RuntimeError: the executor accepts no jobs.
        """
        with self._lock:
            last = self._last
            if last is not None and self._is_last_job(last, executor):
                last.calls.append(call)
                return
            batch = _Batch(self, call)
            future = executor.submit(batch.run)
            self._last = batch
        future.add_done_callback(batch.discard_if_dropped)  # unlocked: it may be called at once

    @staticmethod
    def _is_last_job(batch: _Batch, executor: Executor) -> bool:
        """Rule 1. A started batch has left the queue; one that waits is the only job in it."""
        return queue_length(executor) == (0 if batch.started else 1)

    def next_of(self, batch: _Batch) -> Call | None:
        """The next call of the batch; None ends the batch."""
        with self._lock:
            if batch.calls:
                return batch.calls.popleft()
            if self._last is batch:
                self._last = None
            return None


class _Batch:
    """A job of the executor: calls that run one after the other."""

    __slots__ = ("_queue", "calls", "started")

    def __init__(self, queue: SerialQueue, call: Call) -> None:
        self._queue = queue
        self.calls = deque((call,))
        self.started = False

    def run(self) -> None:
        self.started = True
        while (call := self._queue.next_of(self)) is not None:
            call.run()
            del call  # an idle thread must not keep the last call alive

    def discard_if_dropped(self, future: Future[Any]) -> None:
        """The executor has finished with this job: discard the calls if it never ran."""
        if self.started:  # mostly
            return
        error = drop_error(future)
        while (call := self._queue.next_of(self)) is not None:
            call.discard(error)


_queues: WeakKeyDictionary[Executor, SerialQueue] = WeakKeyDictionary()

process.in_child(process.Fork.CALLS, _queues.clear)


# -- the context -----------------------------------------------------------------------------------


class ThreadSensitiveContext(AsgirefContext):
    """Async context manager that gives the thread-sensitive calls inside it a thread of their own.

    >>> async with bridge.ThreadSensitiveContext():  # doctest: +SKIP
    ...     await bridge.sync_to_async(order.save)()

    Outside of any context the tasks of a process share one thread, so a slow call delays all of
    them. Enter a context for each request or job; Django's ASGI handler enters one for each
    request. The context has no effect inside another one, or under ``async_to_sync``, whose thread
    waits for the calls.

    It is a subclass of asgiref's class, and asgiref's helpers respect it. The thread starts with
    the first call. The exit waits until the thread has run its calls, cancelled ones included, and
    ends the thread. It neither blocks the event loop nor starts another thread to wait in, as
    asgiref's class does.

    :param executor: run the calls here: any executor that runs one job at a time on one thread.
        It takes precedence over an outer context and over a thread that waits in
        ``async_to_sync``. It is not shut down.
    :raises RuntimeError: a context with an executor is entered twice, or a task makes a
        thread-sensitive call after the exit of the one that it was started in.
    """

    def __init__(self, *, executor: Executor | None = None) -> None:
        self.token: Token[Any] | None = None
        self._executor = executor
        self._exited = False
        self._hidden: Any = None

    async def __aenter__(self) -> ThreadSensitiveContext:
        if self._executor is not None:
            self._enter_with_executor()
        elif THREAD_SENSITIVE_CONTEXT.get(None) is None:
            self.token = THREAD_SENSITIVE_CONTEXT.set(self)
        return self

    def _enter_with_executor(self) -> None:
        if self.token is not None:
            raise RuntimeError("ThreadSensitiveContext is already entered")
        if self._exited:
            raise RuntimeError("ThreadSensitiveContext with an executor cannot be entered again")
        self.token = THREAD_SENSITIVE_CONTEXT.set(self)
        context_executors[self] = self._executor
        # A thread that waits further out would be chosen first; here the executor is.
        self._hidden = executor_waiting_here()
        set_executor_waiting_here(None)

    async def __aexit__(self, exc: Any, value: Any, tb: Any) -> None:
        if self.token is None:
            return
        THREAD_SENSITIVE_CONTEXT.reset(self.token)
        self.token = None
        executor = context_executors.pop(self, None)
        if self._executor is not None:
            set_executor_waiting_here(self._hidden)
            self._hidden = None
            self._exited = True
        elif executor is not None:
            await _end(executor)


async def _end(executor: Executor) -> None:
    """Wait until ``executor`` has run its jobs; its thread ends after that."""
    loop = asyncio.get_running_loop()
    inbox = inbox_of(loop)
    idle = asyncio.Event()
    executor.submit(inbox.post, idle.set)
    executor.shutdown(wait=False)
    await idle.wait()
