"""Deadlocks and regressions that users of asgiref's helpers reported, run with our helpers.

::

    python -m tests.sync.reproducers issue_249

Each function is one report, named after its number in asgiref's tracker. It returns if the helpers
work. It runs in its own process, which ends after ``LIMIT_S`` with the stack of every thread: a
thread that waits forever would also keep the test session from ending.
"""

from __future__ import annotations

import asyncio
import faulthandler
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import SyncToAsync

from bridge import ThreadSensitiveContext, async_to_sync, sync_to_async

LIMIT_S = 5


def here() -> threading.Thread:
    return threading.current_thread()


def issue_249() -> None:
    """A second ``sync_to_async`` call in a new task: asgiref 3.3 never returned."""

    async def io_task() -> threading.Thread:
        return await sync_to_async(here)()

    async def do_io_tasks() -> list[threading.Thread]:
        first = await asyncio.create_task(io_task())
        second, third = await asyncio.gather(io_task(), asyncio.shield(io_task()))
        return [first, second, third]

    def view() -> None:
        assert set(async_to_sync(do_io_tasks)()) == {here()}

    asyncio.run(sync_to_async(view)())


def issue_348() -> None:
    """``wait_for`` in an async view behind a sync middleware, as Django's ASGI handler calls it."""

    async def view() -> None:
        thread = await asyncio.wait_for(sync_to_async(here)(), timeout=LIMIT_S)
        assert await asyncio.create_task(sync_to_async(here)()) is thread

    def middleware() -> None:
        async_to_sync(view)()

    async def application() -> None:
        async with ThreadSensitiveContext():
            await sync_to_async(middleware)()

    asyncio.run(application())


def issue_482() -> None:
    """asgiref 3.8 ran thread-sensitive code on several threads, which waited for each other."""

    async def save(number: int) -> threading.Thread:
        def nested() -> threading.Thread:
            thread = async_to_sync(again)()
            assert thread is here()
            return thread

        async def again() -> threading.Thread:
            return await sync_to_async(here)()

        return await sync_to_async(nested if number % 2 else here)()

    async def pull() -> set[threading.Thread]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(save(number)) for number in range(50)]
        return {task.result() for task in tasks}

    assert async_to_sync(pull)() == {here()}
    assert len(asyncio.run(pull())) == 1


def issue_491() -> None:
    """Sync code called by a timer of a coroutine that has ended: "already quit or is broken"."""
    threads: list[threading.Thread] = []

    async def main() -> None:
        done = asyncio.Event()
        tasks: list[asyncio.Task[None]] = []

        def later() -> None:
            tasks.append(asyncio.create_task(late_call()))

        async def late_call() -> None:
            threads.append(await sync_to_async(here)())
            done.set()

        async def inner() -> None:
            asyncio.get_running_loop().call_later(0.05, later)

        await sync_to_async(lambda: async_to_sync(inner)())()
        await done.wait()

    async_to_sync(main)()
    assert threads == [here()]


def issue_492() -> None:
    """A task that outlives the coroutine of an inner ``async_to_sync``."""
    threads: list[threading.Thread] = []

    async def main() -> None:
        done = asyncio.Event()
        tasks: list[asyncio.Task[None]] = []

        async def late_call() -> None:
            threads.append(await sync_to_async(here)())
            done.set()

        async def inner() -> None:
            tasks.append(asyncio.create_task(late_call()))

        await sync_to_async(async_to_sync(inner))()
        await done.wait()

    async_to_sync(main)()
    assert threads == [here()]


def issue_495() -> None:
    """After an executor had refused a job, every later call failed with "would deadlock"."""

    async def main() -> None:
        executor = SyncToAsync.single_thread_executor
        SyncToAsync.single_thread_executor = closed = ThreadPoolExecutor(1)
        closed.shutdown()
        for _ in range(2):
            with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
                await sync_to_async(here)()
        SyncToAsync.single_thread_executor = executor
        assert await sync_to_async(here)()

    asyncio.run(main())


def issue_526() -> None:
    """A background task calls sync code after the request that started it has ended."""

    async def application() -> None:
        tasks: list[asyncio.Task[threading.Thread]] = []
        over = asyncio.Event()

        async def background() -> threading.Thread:
            await over.wait()
            return await sync_to_async(here)()

        async def view() -> None:
            tasks.append(asyncio.create_task(background()))

        async with ThreadSensitiveContext():
            await sync_to_async(lambda: async_to_sync(view)())()
        over.set()
        assert (await tasks[0]).is_alive()

    asyncio.run(application())


def issue_527() -> None:
    """Many such tasks, without a context: some call while the sync code is ending."""

    async def application() -> None:
        tasks: list[asyncio.Task[threading.Thread]] = []

        async def background(turns: int) -> threading.Thread:
            for _ in range(turns):
                await asyncio.sleep(0)
            return await sync_to_async(here)()

        async def view(number: int) -> None:
            tasks.extend(asyncio.create_task(background(turns)) for turns in range(number % 7))

        for number in range(100):
            await sync_to_async(async_to_sync(view))(number)
        threads = await asyncio.gather(*tasks)
        assert len(set(threads)) == 1

    asyncio.run(application())


def issue_535() -> None:
    """A context is exited while its thread waits for this loop, which must not block."""
    started = threading.Event()

    async def inner() -> None:
        await asyncio.sleep(0.1)

    def sync_code() -> None:
        started.set()
        async_to_sync(inner)()

    async def main() -> None:
        async with ThreadSensitiveContext():
            task = asyncio.create_task(sync_to_async(sync_code)())
            await asyncio.sleep(0)
            assert started.wait(LIMIT_S)
            task.cancel()
            await asyncio.wait((task,))

    asyncio.run(main())


ISSUES: dict[str, Any] = {
    name: function for name, function in list(globals().items()) if name.startswith("issue_")
}


if __name__ == "__main__":
    faulthandler.dump_traceback_later(LIMIT_S, exit=True)
    ISSUES[sys.argv[1]]()
    faulthandler.cancel_dump_traceback_later()
    print("ended")
