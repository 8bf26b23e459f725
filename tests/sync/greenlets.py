"""Programs that patch themselves with gevent or eventlet. Each runs in its own process.

::

    python -m tests.sync.greenlets gevent_many
"""

from __future__ import annotations

import faulthandler
import sys
from typing import Any

LIMIT_S = 30
GREENLETS = 20


def gevent_many() -> None:
    """Many greenlets wait for coroutines at the same time (flask #5881, asgiref #443)."""
    from gevent import monkey  # type: ignore[import-untyped]  # has no stubs

    monkey.patch_all()
    import asyncio
    import threading

    import gevent

    from bridge import async_to_sync, iterate_in_loop, sync_to_async

    native: Any = monkey.get_original("_thread", "get_ident")
    main = native()

    async def meet(barrier: asyncio.Barrier) -> tuple[Any, ...]:
        async with asyncio.timeout(LIMIT_S):
            await barrier.wait()
        return (
            native(),
            await sync_to_async(threading.current_thread)(),
            await sync_to_async(native, thread_sensitive=False)(),
        )

    async def echo(value: str) -> str:
        await asyncio.sleep(0)
        return value

    async def make() -> asyncio.Barrier:
        return asyncio.Barrier(GREENLETS)

    def greenlet(barrier: asyncio.Barrier) -> None:
        loop_thread, sensitive, pool_thread = async_to_sync(meet)(barrier)
        assert loop_thread != main, "the loop runs in the thread of the greenlets"
        assert pool_thread not in (main, loop_thread)
        assert sensitive is threading.current_thread()
        assert async_to_sync(echo)("result") == "result"

    def stream() -> None:
        async def items() -> Any:
            for number in range(100):
                await asyncio.sleep(0)
                yield number

        assert list(iterate_in_loop(items(), window=2)) == list(range(100))

    async def meet_on_a_new_loop() -> None:
        assert native() != main
        arrived.append(None)
        async with asyncio.timeout(LIMIT_S):
            while len(arrived) < 3:  # all three loops run at the same time
                await asyncio.sleep(0.001)

    arrived: list[None] = []
    on_a_new_loop = async_to_sync(meet_on_a_new_loop, force_new_loop=True)
    barrier = async_to_sync(make)()
    jobs = [gevent.spawn(greenlet, barrier) for _ in range(GREENLETS)]
    jobs += [gevent.spawn(stream) for _ in range(3)]
    jobs += [gevent.spawn(on_a_new_loop) for _ in range(3)]
    gevent.joinall(jobs, raise_error=True)


def gevent_errors() -> None:
    """A thread that only asgiref could start would be a greenlet: a clear error instead."""
    from gevent import monkey

    monkey.patch_all()
    import asyncio
    import contextvars

    import asgiref.sync
    import pytest

    from bridge import DeadlockError, async_to_sync, sync_to_async

    async def without_waiting_thread() -> None:
        task = asyncio.create_task(sync_to_async(abs)(1), context=contextvars.Context())
        await task

    with pytest.raises(DeadlockError, match=r"gevent has monkey-patched threading"):
        async_to_sync(without_waiting_thread)()
    context = getattr(asgiref.sync, "AsyncSingleThreadContext", None)
    if context is not None:
        with (
            context(),
            pytest.raises(DeadlockError, match="the thread of an AsyncSingleThreadContext"),
        ):
            async_to_sync(asyncio.sleep)(0)


def eventlet_errors() -> None:
    import warnings

    warnings.simplefilter("ignore")
    import eventlet  # type: ignore[import-untyped]  # has no stubs

    eventlet.monkey_patch()
    import asyncio

    import pytest

    from bridge import DeadlockError, async_to_sync

    for _ in range(2):
        with pytest.raises(DeadlockError, match=r"eventlet has monkey-patched threading"):
            async_to_sync(asyncio.sleep)(0)


PROGRAMS = {
    function.__name__: function for function in (gevent_many, gevent_errors, eventlet_errors)
}

if __name__ == "__main__":
    faulthandler.dump_traceback_later(LIMIT_S, exit=True)
    PROGRAMS[sys.argv[1]]()
    faulthandler.cancel_dump_traceback_later()
    print("ended")
