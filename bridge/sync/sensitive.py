"""Which thread a thread-sensitive call runs on: the same one that asgiref would choose.

What enters: a :class:`~bridge.sync.calls.Call`, on the loop's thread, in its caller's context. What
leaves: the same call, posted to a thread. asgiref's own state decides, so a call made through ours
and one made through asgiref's, by Django's ORM for instance, land on one thread, and find there the
same database connection. From the first that applies:

1. the thread that waits in ``async_to_sync`` for the code that runs here, or one further out;
2. the thread of the ``ThreadSensitiveContext`` that is entered here;
3. the thread that waits for this event loop, where asgiref made one for it;
4. the single thread that is asgiref's for the whole process.

A thread that waits no longer is passed over; asgiref fails there with "CurrentThreadExecutor
already quit". A call that would wait for the very thread it runs on is refused.

asgiref >= 3.8 is supported. What came later is looked for and not required: the chain of waiting
threads (3.9), ``AsyncSingleThreadContext`` (3.10) and the executor of a ``ThreadSensitiveContext``
(3.13).
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import Token
from typing import Any, cast

from asgiref.sync import ThreadSensitiveContext as AsgirefContext

from bridge._threads.asgiref_state import (
    OCCUPIED,
    THREAD_SENSITIVE_CONTEXT,
    context_executors,
    executor_serving,
    executor_waiting_here,
    has_exited,
    is_waiting,
    set_executor_waiting_here,
    single_thread_executor,
    thread_of,
)
from bridge._threads.loop_inbox import inbox_of
from bridge._threads.real_threads import refuse_greenlets
from bridge.errors import DeadlockError
from bridge.sync.caller import OWN_THREAD, CallerThread
from bridge.sync.calls import Call
from bridge.sync.serial import post_in_order

__all__ = [
    "ThreadSensitiveContext",
    "post_thread_sensitive",
]


def post_thread_sensitive(call: Call) -> None:
    """Run ``call`` on the thread that is right for it. On the thread of its loop.

    :raises DeadlockError: that thread waits for this very call.
    :raises RuntimeError: the task has outlived its ``ThreadSensitiveContext`` with an executor.
    """
    caller = executor_waiting_here()
    if caller is not None and _post_to_caller(call, caller):
        return
    context = THREAD_SENSITIVE_CONTEXT.get(None)
    if context is not None and not has_exited(context):
        executor = _executor_of(context)
        _refuse_own_thread(executor)
        post_in_order(call, executor)
        return
    loop_caller = executor_serving(call.loop)
    if loop_caller is not None and _post_to_caller(call, loop_caller):
        return
    _post_to_single_thread(call, orphan=caller is not None)


def _post_to_caller(call: Call, caller: Any) -> bool:
    """False: neither that thread nor one further out waits any more."""
    while isinstance(caller, CallerThread):
        if caller.post(call):
            return True
        caller = caller.outer
    if caller is None:
        return False
    _refuse_own_thread(caller)
    try:
        post_in_order(call, caller)
    except RuntimeError:  # asgiref's "already quit"
        return False
    return True


def _executor_of(context: Any) -> Executor:
    executor = context_executors.get(context)
    if executor is None:
        refuse_greenlets("the thread of a ThreadSensitiveContext")
        executor = context_executors.setdefault(context, ThreadPoolExecutor(max_workers=1))
    return cast(Executor, executor)


def _post_to_single_thread(call: Call, *, orphan: bool) -> None:
    """
    :param orphan: the sync code that started this coroutine has gone on without it: even if it
        still runs on the single thread, it does not wait for this call.
    """
    executor = single_thread_executor()
    if not executor._threads:
        refuse_greenlets("thread-sensitive sync code that no thread waits for")
    _refuse_own_thread(executor)
    if not orphan and OCCUPIED.get(False):
        raise DeadlockError(_OCCUPIED)
    call.occupies = True
    post_in_order(call, executor)


def _refuse_own_thread(executor: Any) -> None:
    """:raises DeadlockError: the loop runs on the thread that it asks to run something else."""
    here = threading.current_thread()
    waits_here = thread_of(executor) is here and is_waiting(executor)
    if waits_here or here in getattr(executor, "_threads", ()):
        raise DeadlockError(OWN_THREAD)


_OCCUPIED = (
    "thread-sensitive sync code runs on one thread, and that thread is busy with the sync code "
    "that started this coroutine: it would deadlock. Start the coroutine with async_to_sync() "
    "there, or await sync_to_async(..., thread_sensitive=False)"
)


class ThreadSensitiveContext(AsgirefContext):
    """Async context manager: thread-sensitive calls inside run on a thread of this context's own.

    asgiref's, and seen by asgiref as such, but leaving it never blocks the event loop and costs no
    second thread: it waits for the sync code that still runs, as a coroutine.

    :param executor: run them here instead; any executor that runs one job at a time on one thread.
        It stays the caller's to shut down. Such a context can be entered once.
    """

    def __init__(self, *, executor: Executor | None = None) -> None:
        self.token: Token[Any] | None = None
        self._executor = executor
        self._exited = False
        self._hidden: Any = None

    async def __aenter__(self) -> ThreadSensitiveContext:
        if self._executor is not None:
            self._enter_anew()
        elif THREAD_SENSITIVE_CONTEXT.get(None) is None:
            self.token = THREAD_SENSITIVE_CONTEXT.set(self)
        return self

    def _enter_anew(self) -> None:
        if self.token is not None:
            raise RuntimeError("ThreadSensitiveContext is already entered")
        if self._exited:
            raise RuntimeError("ThreadSensitiveContext with an executor cannot be entered again")
        self.token = THREAD_SENSITIVE_CONTEXT.set(self)
        context_executors[self] = self._executor
        # A thread that waits further out would go first; here the executor does.
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
    """Wait for what runs on ``executor``; its thread ends by itself after that."""
    loop = asyncio.get_running_loop()
    inbox = inbox_of(loop)
    idle = asyncio.Event()
    executor.submit(inbox.post, idle.set)
    executor.shutdown(wait=False)
    await idle.wait()
