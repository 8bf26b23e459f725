"""Calls nested on one pool, deeper and wider than the pool. asgiref's helpers deadlock there."""

from __future__ import annotations

import asyncio
import inspect
import threading
from typing import Any

import asgiref.sync
import pytest
from asgiref.current_thread_executor import CurrentThreadExecutor

import bridge.sync
from bridge import async_to_sync, sync_to_async

DEADLINE_S = 30

needs_chain = pytest.mark.skipif(
    "old_executor" not in inspect.signature(CurrentThreadExecutor).parameters,
    reason="asgiref < 3.9 does not record which thread waits further out",
)


def nested(outer: Any, executor: Any, depth: int, leaf: Any) -> Any:
    """Sync code on a pool that waits for async code that waits for sync code on that pool ..."""

    def sync() -> Any:
        return leaf() if depth == 0 else outer.async_to_sync(between)()

    async def between() -> Any:
        return await nested(outer, executor, depth - 1, leaf)()

    return sync_to_async(sync, thread_sensitive=False, executor=executor)


async def test_calls_nested_deeper_than_the_pool_end(outer: Any) -> None:
    pool = bridge.sync.pool("two", threads=2)
    calls = [nested(outer, pool, 5, lambda: "leaf")() for _ in range(20)]

    assert await asyncio.gather(*calls) == ["leaf"] * 20


@pytest.mark.parametrize("threads", [1, 3])
async def test_no_more_calls_run_at_once_than_the_pool_has_threads(
    outer: Any, threads: int
) -> None:
    lock = threading.Lock()
    full = threading.Event()
    inside = 0
    most = 0

    def leaf() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
            if inside == threads:
                full.set()
        assert full.wait(DEADLINE_S)
        threading.Event().wait(0.002)  # time for one too many to start
        with lock:
            inside -= 1

    pool = bridge.sync.pool(f"narrow-{threads}", threads=threads)
    await asyncio.gather(*(nested(outer, pool, 2, leaf)() for _ in range(20)))
    await asyncio.gather(*(nested(outer, pool, 0, leaf)() for _ in range(20)))

    assert most == threads


async def test_the_thread_of_a_nested_call_stops_when_the_one_that_waited_continues(
    outer: Any,
) -> None:
    """A queued call waits until the outer call has ended, not only the inner one."""
    pool = bridge.sync.pool("single", threads=1)
    order: list[str] = []

    async def inner() -> None:
        await sync_to_async(order.append, thread_sensitive=False, executor=pool)("inner")

    def call() -> None:
        outer.async_to_sync(inner)()
        threading.Event().wait(0.02)  # long enough for another thread to take what waits
        order.append("outer")

    calls = [call, lambda: order.append("next")]
    await asyncio.gather(
        *(sync_to_async(each, thread_sensitive=False, executor=pool)() for each in calls)
    )

    assert order == ["inner", "outer", "next"]


@pytest.fixture(params=["pool", "limit"])
def group(request: pytest.FixtureRequest) -> Any:
    """One call at a time."""
    name = request.node.name
    return bridge.sync.pool(name, threads=1) if request.param == "pool" else bridge.sync.limit(1)


@needs_chain
async def test_calls_nested_side_by_side_take_turns(outer: Any, group: Any) -> None:
    lock = threading.Lock()
    inside: set[int] = set()
    most = 0

    def leaf(number: int) -> None:
        nonlocal most
        with lock:
            inside.add(number)
            most = max(most, len(inside))
        threading.Event().wait(0.002)
        with lock:
            inside.remove(number)

    async def many() -> None:
        call = sync_to_async(leaf, thread_sensitive=False, executor=group)
        await asyncio.gather(*(call(number) for number in range(10)))

    call = sync_to_async(outer.async_to_sync(many), thread_sensitive=False, executor=group)
    await asyncio.gather(call(), call())

    assert most == 1


async def test_a_task_that_outlives_the_call_that_started_it_waits_for_a_thread(
    outer: Any, group: Any
) -> None:
    order: list[str] = []
    tasks: list[asyncio.Task[None]] = []
    posted = threading.Event()
    call_continued = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def background() -> None:
        await call_continued.wait()
        loop.call_soon(posted.set)
        await sync_to_async(order.append, thread_sensitive=False, executor=group)("task")

    async def start() -> None:
        tasks.append(loop.create_task(background()))

    def call() -> None:
        outer.async_to_sync(start)()
        loop.call_soon_threadsafe(call_continued.set)
        assert posted.wait(DEADLINE_S)
        threading.Event().wait(0.02)  # long enough for another thread to take what waits
        order.append("call")

    await sync_to_async(call, thread_sensitive=False, executor=group)()
    await asyncio.gather(*tasks)

    assert order == ["call", "task"]


async def test_a_thread_that_continues_without_its_nested_call_counts_again() -> None:
    pool = bridge.sync.pool("goes-on", threads=1)
    started = asyncio.Event()
    go_on = threading.Event()
    loop = asyncio.get_running_loop()
    tasks: list[asyncio.Task[Any]] = []

    def leaf() -> None:
        loop.call_soon_threadsafe(started.set)
        go_on.wait(DEADLINE_S)

    async def start() -> None:
        call = sync_to_async(leaf, thread_sensitive=False, executor=pool)
        tasks.append(loop.create_task(call()))
        await started.wait()
        assert pool.max_threads == 2

    def call() -> int:
        async_to_sync(start)()
        return pool.max_threads

    assert await sync_to_async(call, thread_sensitive=False, executor=pool)() == 1
    go_on.set()
    await asyncio.gather(*tasks)


async def test_calls_nested_through_submit_do_not_exhaust_the_group(group: Any) -> None:
    """asgiref's helpers and ``loop.run_in_executor`` call it."""

    async def inner() -> tuple[int, int]:
        theirs = asgiref.sync.sync_to_async(abs, thread_sensitive=False, executor=group)
        loop = asyncio.get_running_loop()
        return await theirs(-1), await loop.run_in_executor(group, abs, -2)

    call = sync_to_async(async_to_sync(inner), thread_sensitive=False, executor=group)

    assert await call() == (1, 2)


async def test_nested_calls_go_first_so_few_threads_are_needed(outer: Any) -> None:
    pool = bridge.sync.pool("few", threads=2)
    await asyncio.gather(*(nested(outer, pool, 1, lambda: None)() for _ in range(300)))

    assert pool.stats().threads < 100


async def test_spare_threads_end(outer: Any) -> None:
    pool = bridge.sync.pool("spare", threads=2)
    await asyncio.gather(*(nested(outer, pool, 8, lambda: None)() for _ in range(10)))
    while pool.stats().idle < pool.stats().threads:  # a moment after the calls
        await asyncio.sleep(0.001)

    assert pool.stats().threads <= 4
    assert pool.stats().waiting == 0


async def test_a_cancelled_nested_call_releases_its_thread() -> None:
    pool = bridge.sync.pool("cancelled", threads=1)
    started = asyncio.Event()
    loop = asyncio.get_running_loop()
    go_on = threading.Event()

    def leaf() -> None:
        loop.call_soon_threadsafe(started.set)
        go_on.wait(DEADLINE_S)

    task = asyncio.create_task(nested(bridge.sync, pool, 1, leaf)())
    await started.wait()
    task.cancel()
    await asyncio.wait((task,))
    go_on.set()

    assert await sync_to_async(abs, thread_sensitive=False, executor=pool)(-1) == 1
    while pool.max_threads > 1:  # a moment after the call
        await asyncio.sleep(0.001)


@needs_chain
async def test_a_call_does_not_count_while_it_waits_for_another_of_its_limit(outer: Any) -> None:
    group = bridge.sync.limit(1)
    calls = [nested(outer, group, 4, lambda: "leaf")() for _ in range(10)]

    assert await asyncio.gather(*calls) == ["leaf"] * 10
    while group.stats().running:  # the slot is released a moment after the call
        await asyncio.sleep(0.001)


async def test_a_slot_may_wait_in_the_pool_behind_the_thread_that_waits_for_it(outer: Any) -> None:
    pool = bridge.sync.pool("behind", threads=1)
    group = bridge.sync.limit(1, executor=pool)
    may_go_on = threading.Event()

    async def through_the_limit() -> str:
        return str(await sync_to_async(str, thread_sensitive=False, executor=group)("inner"))

    def call() -> str:
        assert may_go_on.wait(DEADLINE_S)
        return str(outer.async_to_sync(through_the_limit)())

    first = asyncio.create_task(sync_to_async(call, thread_sensitive=False, executor=pool)())
    while not pool.stats().running:
        await asyncio.sleep(0.001)
    second = asyncio.create_task(
        sync_to_async(str, thread_sensitive=False, executor=group)("behind")
    )
    while not pool.stats().waiting:
        await asyncio.sleep(0.001)
    may_go_on.set()

    async with asyncio.timeout(DEADLINE_S):
        assert [await first, await second] == ["inner", "behind"]
