"""The thread of thread-sensitive code: asgiref's rules, together with asgiref, at every depth."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asgiref.sync
import pytest
from asgiref.sync import SyncToAsync

import bridge
from bridge import DeadlockError, ThreadSensitiveContext, async_to_sync, sync_to_async

DEADLINE_S = 30
SIDES = (bridge.sync, asgiref.sync)


def here() -> threading.Thread:
    return threading.current_thread()


async def test_both_helpers_share_asgirefs_single_thread() -> None:
    ours = await sync_to_async(here)()
    theirs = await asgiref.sync.sync_to_async(here)()

    assert ours is theirs
    assert ours in SyncToAsync.single_thread_executor._threads


async def test_calls_of_both_helpers_run_in_the_order_in_which_they_were_made() -> None:
    order: list[int] = []
    hold = threading.Event()
    first = asyncio.create_task(sync_to_async(hold.wait)(DEADLINE_S))
    await asyncio.sleep(0)
    calls = [SIDES[number % 3 == 1].sync_to_async(order.append)(number) for number in range(30)]
    tasks = [asyncio.create_task(call) for call in calls]
    await asyncio.sleep(0)
    hold.set()
    await asyncio.gather(first, *tasks)

    assert order == list(range(30))


def test_under_async_to_sync_sync_code_runs_on_the_calling_thread(outer: Any) -> None:
    async def middle() -> list[threading.Thread]:
        return [
            await sync_to_async(here)(),
            await asgiref.sync.sync_to_async(here)(),
            await asyncio.create_task(sync_to_async(here)()),
            *await asyncio.gather(sync_to_async(here)(), sync_to_async(here)()),
        ]

    assert set(outer.async_to_sync(middle)()) == {here()}


def test_on_a_new_loop_sync_code_runs_on_the_calling_thread() -> None:
    async def middle() -> list[threading.Thread]:
        bare = asyncio.create_task(sync_to_async(here)(), context=contextvars.Context())
        return [await sync_to_async(here)(), await bare]

    assert set(async_to_sync(middle, force_new_loop=True)()) == {here()}


def test_code_that_is_not_thread_sensitive_runs_on_another_thread() -> None:
    async def middle() -> threading.Thread:
        return await sync_to_async(here, thread_sensitive=False)()

    assert async_to_sync(middle)() is not here()


async def test_a_context_has_one_thread_of_its_own(outer: Any) -> None:
    single = await sync_to_async(here)()
    async with outer.ThreadSensitiveContext():
        own = await sync_to_async(here)()
        others = await asyncio.gather(
            sync_to_async(here)(), asgiref.sync.sync_to_async(here)(), sync_to_async(here)()
        )
        async with ThreadSensitiveContext():
            nested = await sync_to_async(here)()

    assert own is not single
    assert {*others, nested} == {own}
    assert await sync_to_async(here)() is single


async def test_a_context_waits_for_its_sync_code_and_ends_its_thread() -> None:
    done = threading.Event()
    started = threading.Event()

    def work() -> None:
        started.set()
        done.wait(DEADLINE_S)

    async with ThreadSensitiveContext():
        thread = await sync_to_async(here)()
        call = asyncio.create_task(sync_to_async(work)())
        while not started.is_set():
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        asyncio.get_running_loop().call_later(0.01, done.set)

    assert done.is_set()
    await asyncio.to_thread(thread.join, DEADLINE_S)
    assert not thread.is_alive()


async def test_contexts_at_the_same_time_have_different_threads() -> None:
    meet = threading.Barrier(3)

    async def request() -> threading.Thread:
        async with ThreadSensitiveContext():
            await sync_to_async(meet.wait)(DEADLINE_S)
            return await sync_to_async(here)()

    assert len(set(await asyncio.gather(request(), request(), request()))) == 3


async def test_a_context_uses_its_executor() -> None:
    with ThreadPoolExecutor(1, "given") as executor:
        async with ThreadSensitiveContext(), ThreadSensitiveContext(executor=executor):
            assert (await sync_to_async(here)()).name.startswith("given")
            assert (await asgiref.sync.sync_to_async(here)()).name.startswith("given")
        assert executor.submit(here).result(DEADLINE_S).name.startswith("given")


async def test_a_context_with_an_executor_can_be_entered_once() -> None:
    with ThreadPoolExecutor(1) as executor:
        context = ThreadSensitiveContext(executor=executor)
        async with context:
            with pytest.raises(RuntimeError, match="already entered"):
                await context.__aenter__()
        with pytest.raises(RuntimeError, match="cannot be entered again"):
            await context.__aenter__()


async def test_a_task_that_outlives_its_context_with_an_executor_gets_an_error() -> None:
    exited = asyncio.Event()

    async def later() -> None:
        await exited.wait()
        await sync_to_async(here)()

    with ThreadPoolExecutor(1) as executor:
        async with ThreadSensitiveContext(executor=executor):
            task = asyncio.create_task(later())
        exited.set()
        with pytest.raises(RuntimeError, match="ThreadSensitiveContext has exited"):
            await task


@pytest.mark.parametrize("first", [bridge.sync_to_async, asgiref.sync.sync_to_async])
@pytest.mark.parametrize("context", [ThreadSensitiveContext, asgiref.sync.ThreadSensitiveContext])
async def test_a_task_that_outlives_its_context_gets_another_thread(
    context: Any, first: Any
) -> None:
    """As with asgiref, whichever of the two makes the first call."""
    exited = asyncio.Event()

    async def later() -> list[threading.Thread]:
        await exited.wait()
        helpers = (first, bridge.sync_to_async, asgiref.sync.sync_to_async)
        return [await helper(here)() for helper in helpers]

    async with context() as entered:
        inside = await sync_to_async(here)()
        task = asyncio.create_task(later())
    exited.set()

    outlived = await task
    assert len(set(outlived)) == 1
    assert outlived[0] not in (inside, await sync_to_async(here)())
    kept: Any = SyncToAsync.context_to_thread_executor[entered]
    assert kept._threads == {outlived[0]}


# -- what would deadlock --------------------------------------------------------------------------


async def test_a_loop_on_the_single_thread_cannot_wait_for_that_thread(outer: Any) -> None:
    def view() -> None:
        asyncio.run(sync_to_async(here)())

    with pytest.raises(DeadlockError, match=r"very thread|would deadlock"):
        await outer.sync_to_async(view)()
    assert await sync_to_async(here)(), "the thread still works"


def test_a_loop_on_the_waiting_thread_cannot_wait_for_it(outer: Any) -> None:
    def view() -> None:
        asyncio.run(sync_to_async(here)())

    async def middle() -> None:
        await outer.sync_to_async(view)()

    with pytest.raises(DeadlockError, match="very thread"):
        outer.async_to_sync(middle)()


async def test_a_coroutine_sent_to_the_loop_by_hand_is_refused(outer: Any) -> None:
    """The view waits for it in a way that the helpers cannot see."""
    loop = asyncio.get_running_loop()

    def view() -> None:
        asyncio.run_coroutine_threadsafe(sync_to_async(here)(), loop).result(DEADLINE_S)

    with pytest.raises(DeadlockError, match="would deadlock"):
        await outer.sync_to_async(view)()


async def test_asgiref_refuses_such_a_coroutine_under_our_helper() -> None:
    loop = asyncio.get_running_loop()

    def view() -> None:
        call = asgiref.sync.sync_to_async(here)()
        asyncio.run_coroutine_threadsafe(call, loop).result(DEADLINE_S)

    with pytest.raises(RuntimeError, match="would deadlock"):
        await sync_to_async(view)()


async def test_a_task_that_outlives_the_view_that_started_it_is_not_refused() -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    calls: list[Any] = []

    async def later() -> threading.Thread:
        await ended.wait()
        return await sync_to_async(here)()

    await sync_to_async(lambda: calls.append(asyncio.run_coroutine_threadsafe(later(), loop)))()
    ended.set()

    assert await asyncio.wrap_future(calls[0]) is await sync_to_async(here)()


async def test_a_task_may_wait_for_the_view_that_continues_without_it() -> None:
    """The coroutine of ``async_to_sync`` has ended; its task waits for the thread."""
    tasks: list[asyncio.Task[threading.Thread]] = []
    posted = threading.Event()

    async def background() -> threading.Thread:
        call = sync_to_async(here)()
        asyncio.get_running_loop().call_soon(posted.set)
        return await call

    async def start() -> None:
        tasks.append(asyncio.create_task(background()))

    def view() -> None:
        async_to_sync(start)()
        assert posted.wait(DEADLINE_S)

    await sync_to_async(view)()

    assert (await tasks[0]).is_alive()


# -- nesting --------------------------------------------------------------------------------------

DEPTH = 20


def _descend(depth: int, level: Callable[[int], None]) -> Callable[[], list[threading.Thread]]:
    """Sync code that calls async code that calls sync code ..., with both helpers in turn."""

    def sync() -> list[threading.Thread]:
        level(depth)
        if depth == 0:
            return [here()]
        threads: list[threading.Thread] = SIDES[depth // 2 % 2].async_to_sync(between)()
        return [here(), *threads]

    async def between() -> list[threading.Thread]:
        inner: Any = SIDES[depth // 3 % 2].sync_to_async(_descend(depth - 1, level))
        async with asyncio.timeout(DEADLINE_S):
            if depth % 3 == 0:
                [threads] = await asyncio.gather(inner())
            elif depth % 3 == 1:
                async with asyncio.TaskGroup() as group:
                    task = group.create_task(inner())
                threads = task.result()
            else:
                threads = await inner()
        found: list[threading.Thread] = threads
        return found

    return sync


def test_twenty_levels_from_sync_code_all_run_on_its_thread() -> None:
    assert _descend(DEPTH, lambda depth: None)() == [here()] * (DEPTH + 1)


async def test_twenty_levels_from_async_code_all_run_on_one_thread() -> None:
    threads = await sync_to_async(_descend(DEPTH, lambda depth: None))()

    assert len(set(threads)) == 1
    assert threads[0] is not here()


async def test_context_variables_reach_every_level() -> None:
    trail = contextvars.ContextVar[tuple[int, ...]]("trail", default=())
    seen: list[tuple[int, ...]] = []

    def level(depth: int) -> None:
        trail.set((*trail.get(), depth))
        seen.append(trail.get())

    await sync_to_async(_descend(DEPTH, level))()

    assert seen[-1] == tuple(range(DEPTH, -1, -1))


async def test_context_variables_return_from_every_level() -> None:
    trail = contextvars.ContextVar[tuple[int, ...]]("trail", default=())

    def sync(depth: int) -> None:
        trail.set((*trail.get(), depth))
        if depth:
            SIDES[depth % 2].async_to_sync(between)(depth - 1)

    async def between(depth: int) -> None:
        await SIDES[depth // 2 % 2].sync_to_async(sync)(depth)

    await sync_to_async(sync)(DEPTH)

    assert trail.get() == tuple(range(DEPTH, -1, -1))
