"""`iterate_in_threads` and `iterate_in_loop` (P19: asgiref #142, django #14526)."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import threading
import time
import weakref
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import SyncToAsync

from bridge import (
    ConfigError,
    DeadlockError,
    ThreadSensitiveContext,
    WorkerPool,
    async_to_sync,
    iterate_in_loop,
    iterate_in_threads,
    sync_to_async,
)
from bridge.sync import loop_task

DEADLINE_S = 30


def here() -> threading.Thread:
    return threading.current_thread()


class Source:
    """A sync iterable that records its steps and their threads."""

    def __init__(self, items: int, *, error_at: int | None = None) -> None:
        self.items = items
        self.error_at = error_at
        self.made = 0
        self.threads: set[threading.Thread] = set()
        self.closed_on: list[threading.Thread] = []

    def __iter__(self) -> Iterator[int]:
        try:
            while self.made < self.items:
                self.threads.add(here())
                if self.made == self.error_at:
                    raise ValueError(f"item {self.made}")
                self.made += 1
                yield self.made
        finally:
            self.closed_on.append(here())


@pytest.fixture(params=[True, False], ids=["thread-sensitive", "reserved-thread"])
def sensitive(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


# -- sync source, async consumer -------------------------------------------------------------------


@pytest.mark.parametrize("items", [0, 1, 5, 1000])
@pytest.mark.parametrize("window", [1, 2, 64])
async def test_every_item_arrives_in_order(items: int, window: int, sensitive: bool) -> None:
    source = Source(items)

    seen = [
        item async for item in iterate_in_threads(source, window=window, thread_sensitive=sensitive)
    ]

    assert seen == list(range(1, items + 1))
    assert len(source.closed_on) == 1


async def test_the_source_runs_on_one_thread(sensitive: bool) -> None:
    source = Source(500)
    async for _ in iterate_in_threads(source, window=8, thread_sensitive=sensitive):
        await asyncio.sleep(0)

    assert len(source.threads) == 1
    assert here() not in source.threads
    assert source.closed_on == list(source.threads)


async def test_it_shares_the_thread_of_thread_sensitive_calls() -> None:
    source = Source(10)
    async for _ in iterate_in_threads(source):
        pass

    assert source.threads == {await sync_to_async(here)()}
    assert source.threads == set(SyncToAsync.single_thread_executor._threads)


def test_under_async_to_sync_it_runs_on_the_waiting_thread() -> None:
    async def consume() -> set[threading.Thread]:
        return {thread async for thread in iterate_in_threads(here() for _ in range(200))}

    assert async_to_sync(consume)() == {here()}


async def test_the_first_item_arrives_before_the_second_is_made(sensitive: bool) -> None:
    """P21, for any sync iterator."""
    go_on = threading.Event()

    def source() -> Iterator[str]:
        yield "first"
        assert go_on.wait(DEADLINE_S)
        yield "second"

    seen = []
    async for item in iterate_in_threads(source(), thread_sensitive=sensitive):
        seen.append(item)
        go_on.set()

    assert seen == ["first", "second"]


async def test_the_source_is_never_more_than_a_window_ahead(sensitive: bool) -> None:
    source = Source(200)
    ahead = []
    async for item in iterate_in_threads(source, window=4, thread_sensitive=sensitive):
        if item % 10 == 0:
            # By the end of a later call the thread has fetched all that it may.
            for _ in range(3):
                await sync_to_async(abs)(1)
        ahead.append(source.made - item)

    assert max(ahead) <= 4


async def test_a_slow_consumer_does_not_block_the_thread() -> None:
    source = Source(1000)
    stream = iterate_in_threads(source, window=2)
    await anext(stream)

    assert await sync_to_async(abs)(-1) == 1
    await stream.aclose()


async def test_an_exception_is_raised_after_the_items_before_it(sensitive: bool) -> None:
    stream = iterate_in_threads(Source(9, error_at=3), thread_sensitive=sensitive)

    assert [await anext(stream) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(ValueError, match="item 3"):
        await anext(stream)


async def test_stopping_early_closes_the_source_on_its_thread(sensitive: bool) -> None:
    source = Source(1000)
    async with contextlib.aclosing(
        iterate_in_threads(source, window=4, thread_sensitive=sensitive)
    ) as stream:
        async for item in stream:
            if item == 3:
                break

    assert source.closed_on == list(source.threads)


async def test_an_iteration_that_is_not_closed_explicitly_is_closed_soon(sensitive: bool) -> None:
    source = Source(1000)
    async for item in iterate_in_threads(source, thread_sensitive=sensitive):
        if item == 3:
            break
    while not source.closed_on:
        gc.collect()
        await asyncio.sleep(0.001)

    assert source.closed_on == list(source.threads)


async def test_a_cancelled_consumer_does_not_wait_for_a_source_that_blocks(
    sensitive: bool,
) -> None:
    blocking = threading.Event()
    go_on = threading.Event()
    closed = threading.Event()
    saw: list[bool] = []

    def source() -> Iterator[int]:
        import bridge.sync

        try:
            yield 1
            blocking.set()
            assert go_on.wait(DEADLINE_S)
            saw.append(bridge.sync.cancelled())
            yield 2
        finally:
            closed.set()

    async def consume() -> None:
        async for _ in iterate_in_threads(source(), thread_sensitive=sensitive):
            pass

    task = asyncio.create_task(consume())
    while not blocking.is_set():
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not closed.is_set()
    go_on.set()
    while not closed.is_set():
        await asyncio.sleep(0.001)

    assert saw == [True]


async def test_closing_before_the_first_item_does_not_start_the_source() -> None:
    source = Source(3)
    stream = iterate_in_threads(source)
    await stream.aclose()

    assert source.made == 0


async def test_the_source_has_a_copy_of_its_consumers_context() -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("the consumer's")

    def source() -> Iterator[str]:
        yield variable.get()
        variable.set("the source's")
        yield variable.get()

    seen = [item async for item in iterate_in_threads(source(), window=1)]

    assert seen == ["the consumer's", "the source's"]
    assert variable.get() == "the consumer's"


async def test_a_reserved_thread_comes_from_the_pool_and_returns_to_it() -> None:
    pool = WorkerPool(1, name="one")
    for _ in range(3):
        source = Source(3)
        async for _ in iterate_in_threads(source, thread_sensitive=False, executor=pool):
            assert pool.stats().running == 1
        while pool.stats().running:
            await asyncio.sleep(0.001)
    pool.shutdown()


async def test_a_refused_batch_loses_no_item() -> None:
    made: list[int] = []
    items: list[int] = []
    executor = ThreadPoolExecutor(1)

    def source() -> Iterator[int]:
        while True:
            made.append(len(made))
            yield made[-1]

    async def consume() -> None:
        async for item in iterate_in_threads(source(), window=2):
            if not items:
                await sync_to_async(here)()  # the batch has ended
                executor.shutdown()
            items.append(item)

    async with ThreadSensitiveContext(executor=executor):
        with pytest.raises(RuntimeError):
            await consume()

    assert items == made


async def test_a_pool_that_is_shut_down_ends_the_iteration() -> None:
    pool = WorkerPool(1, name="one")
    hold = threading.Event()
    pool.submit(hold.wait, DEADLINE_S)
    stream = iterate_in_threads([1], thread_sensitive=False, executor=pool)
    item = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    pool.close(cancel_futures=True)

    with pytest.raises(RuntimeError, match="shut down"):
        await item
    hold.set()


def test_an_object_that_is_not_iterable_is_refused_at_once() -> None:
    async def items() -> AsyncIterator[int]:
        yield 1

    wrong: Any = 1
    with pytest.raises(TypeError, match="takes an iterable, not 1"):
        iterate_in_threads(wrong)
    wrong = items()
    with pytest.raises(TypeError, match="an async one needs no helper"):
        iterate_in_threads(wrong)
    with pytest.raises(ConfigError, match="window=0: expected an int of 1 or more"):
        iterate_in_threads([], window=0)
    wrong = []
    with pytest.raises(TypeError, match="a sync one needs no helper"):
        iterate_in_loop(wrong)
    with pytest.raises(ConfigError, match="window"):
        iterate_in_loop(items(), window=-1)


# -- async source, sync consumer -------------------------------------------------------------------


class AsyncSource:
    """An async iterable that records its steps and their tasks."""

    def __init__(self, items: int, *, error_at: int | None = None) -> None:
        self.items = items
        self.error_at = error_at
        self.made = 0
        self.tasks: set[Any] = set()
        self.closed_in: list[Any] = []

    async def __aiter__(self) -> AsyncIterator[int]:
        try:
            while self.made < self.items:
                self.tasks.add(asyncio.current_task())
                if self.made == self.error_at:
                    raise ValueError(f"item {self.made}")
                if self.made % 3 == 0:
                    await asyncio.sleep(0)
                self.made += 1
                yield self.made
        finally:
            await asyncio.sleep(0)
            self.closed_in.append(asyncio.current_task())


@pytest.mark.parametrize("items", [0, 1, 5, 1000])
@pytest.mark.parametrize("window", [1, 2, 64])
def test_every_item_of_an_async_source_arrives_in_order(items: int, window: int) -> None:
    source = AsyncSource(items)

    assert list(iterate_in_loop(source, window=window)) == list(range(1, items + 1))
    assert len(source.closed_in) == 1
    assert len(source.tasks) <= 1


def test_an_async_source_is_never_more_than_a_window_ahead() -> None:
    source = AsyncSource(200)
    ahead = []
    for item in iterate_in_loop(source, window=4):
        async_to_sync(asyncio.sleep)(0)
        ahead.append(source.made - item)

    assert max(ahead) <= 4


def test_an_exception_of_an_async_source_is_raised_after_the_items_before_it() -> None:
    stream = iterate_in_loop(AsyncSource(9, error_at=3))

    assert [next(stream) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(ValueError, match="item 3"):
        next(stream)


def test_stopping_early_closes_an_async_source_in_its_task() -> None:
    source = AsyncSource(1000)
    for item in iterate_in_loop(source, window=4):
        if item == 3:
            break
    gc.collect()

    assert set(source.closed_in) == source.tasks


def test_its_sync_code_runs_on_the_consumers_thread() -> None:
    async def source() -> AsyncIterator[threading.Thread]:
        for _ in range(100):
            yield await sync_to_async(here)()

    assert set(iterate_in_loop(source())) == {here()}


def test_its_sync_code_runs_while_the_consumer_waits_for_something_else() -> None:
    go_on, ran = asyncio.Event(), asyncio.Event()

    async def source() -> AsyncIterator[int]:
        yield 1
        await go_on.wait()
        await sync_to_async(here)()
        ran.set()
        yield 2

    async def wait() -> bool:
        go_on.set()
        async with asyncio.timeout(DEADLINE_S):
            return await ran.wait()

    for _ in iterate_in_loop(source()):
        assert async_to_sync(wait)()


def test_a_task_of_a_source_continues_after_the_source_has_ended() -> None:
    tasks: list[asyncio.Task[threading.Thread]] = []
    ended = threading.Event()

    async def background() -> threading.Thread:
        await asyncio.to_thread(ended.wait, DEADLINE_S)
        return await sync_to_async(here)()

    async def source() -> AsyncIterator[int]:
        tasks.append(asyncio.create_task(background()))
        yield 1

    async def outcome() -> threading.Thread:
        async with asyncio.timeout(DEADLINE_S):
            return await tasks[0]

    stream = iterate_in_loop(source())
    next(stream)
    stream.close()
    ended.set()

    assert async_to_sync(outcome)() is not here()


def test_closing_waits_for_sync_code_of_the_source() -> None:
    closed_on = []

    async def source() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed_on.append(await sync_to_async(here)())

    stream = iterate_in_loop(source(), window=1)
    next(stream)
    stream.close()

    assert closed_on == [here()]


def test_an_exception_while_closing_is_raised() -> None:
    async def source() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            raise ValueError("cannot close")

    stream = iterate_in_loop(source())
    next(stream)
    with pytest.raises(ValueError, match="cannot close"):
        stream.close()


def test_closing_an_iteration_on_another_thread_does_not_wait() -> None:
    closed = threading.Event()

    async def source() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            closed.set()

    stream = iterate_in_loop(source())
    next(stream)
    thread = threading.Thread(target=stream.close)
    thread.start()
    thread.join(DEADLINE_S)

    assert closed.wait(DEADLINE_S)


def test_an_iteration_that_cannot_start_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(factory: object) -> asyncio.AbstractEventLoop:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(loop_task, "kept_loop", refuse)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        next(iter(iterate_in_loop(AsyncSource(3))))


def test_an_iteration_that_outlives_its_thread_keeps_no_reference_to_it() -> None:
    started: list[Iterator[int]] = []

    def start() -> None:
        iteration = iter(iterate_in_loop(AsyncSource(1000), window=1))
        next(iteration)
        started.append(iteration)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join(DEADLINE_S)
    reference = weakref.ref(thread)
    del thread
    started.clear()
    deadline = time.monotonic() + DEADLINE_S
    while reference() is not None and time.monotonic() < deadline:  # the loop drops it later
        gc.collect()
        time.sleep(0.001)

    assert reference() is None


async def test_under_sync_to_async_it_iterates_on_the_callers_loop() -> None:
    async def source() -> AsyncIterator[asyncio.AbstractEventLoop]:
        yield asyncio.get_running_loop()

    loops = await sync_to_async(lambda: list(iterate_in_loop(source())))()

    assert loops == [asyncio.get_running_loop()]


async def test_on_a_running_loop_it_is_refused() -> None:
    stream = iterate_in_loop(AsyncSource(1))

    with pytest.raises(DeadlockError):
        next(stream)


async def test_the_cancellation_of_the_caller_reaches_the_source() -> None:
    started = asyncio.Event()
    ended: list[str] = []

    async def source() -> AsyncIterator[int]:
        try:
            started.set()
            await asyncio.Event().wait()
            yield 1
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    call = asyncio.create_task(sync_to_async(lambda: list(iterate_in_loop(source())))())
    await started.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert ended == ["cancelled"]


async def test_iterations_nest_in_both_directions() -> None:
    """A sync source, iterated by async code, then by sync code, then by async code again."""
    source = iterate_in_threads(range(300), thread_sensitive=False)
    again = iterate_in_threads(iterate_in_loop(source), thread_sensitive=False)

    assert [item async for item in again] == list(range(300))
