"""Cancellation and timeouts: the caller returns on time, and the function can check (P19)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import bridge.sync
from bridge import WorkerPool, async_to_sync, sync_to_async
from bridge._threads.loop_inbox import inbox_of

DEADLINE_S = 30


class Job:
    """A sync function that reports its start, and waits until the test lets it end."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.go_on = threading.Event()
        self.ended = threading.Event()
        self.cancelled: list[bool] = []

    def __call__(self) -> str:
        self.cancelled.append(bridge.sync.cancelled())
        self.started.set()
        assert self.go_on.wait(DEADLINE_S)
        self.cancelled.append(bridge.sync.cancelled())
        self.ended.set()
        return "done"

    async def running(self) -> None:
        while not self.started.is_set():
            await asyncio.sleep(0.001)

    async def finish(self) -> None:
        self.go_on.set()
        while not self.ended.is_set():
            await asyncio.sleep(0.001)


@pytest.fixture
def job() -> Any:
    job = Job()
    yield job
    job.go_on.set()


@pytest.fixture(params=[True, False], ids=["thread-sensitive", "pool"])
def sensitive(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def test_a_cancelled_caller_does_not_wait_and_the_function_can_check(
    job: Job, sensitive: bool
) -> None:
    call = asyncio.create_task(sync_to_async(job, thread_sensitive=sensitive)())
    await job.running()
    call.cancel("enough")

    with pytest.raises(asyncio.CancelledError):
        await call
    assert not job.ended.is_set()
    await job.finish()
    assert job.cancelled == [False, True]
    assert bridge.sync.cancelled() is False


async def test_a_timeout_is_on_time(job: Job, sensitive: bool) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await sync_to_async(job, thread_sensitive=sensitive)()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(sync_to_async(job, thread_sensitive=sensitive)(), 0.01)

    assert not job.ended.is_set()


async def test_a_cancelled_call_that_has_not_started_never_does(job: Job, sensitive: bool) -> None:
    pool = WorkerPool(1, name="narrow")
    options: Any = {"thread_sensitive": sensitive, "executor": None if sensitive else pool}
    ran: list[str] = []
    first = asyncio.create_task(sync_to_async(job, **options)())
    await job.running()
    second = asyncio.create_task(sync_to_async(ran.append, **options)("second"))
    third = asyncio.create_task(sync_to_async(ran.append, **options)("third"))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    job.go_on.set()
    await asyncio.gather(first, third)

    assert ran == ["third"]
    pool.shutdown()


async def test_later_calls_wait_for_a_cancelled_one(job: Job) -> None:
    """Thread-sensitive calls never overlap, even if the first has no caller any more."""
    call = asyncio.create_task(sync_to_async(job)())
    await job.running()
    call.cancel()
    await asyncio.wait((call,))
    after = asyncio.create_task(sync_to_async(job.ended.is_set)())
    await asyncio.sleep(0.01)
    assert not after.done()
    job.go_on.set()

    assert await after is True


async def test_a_late_result_is_discarded(job: Job, sensitive: bool) -> None:
    variable: list[str] = []

    async def caller() -> None:
        try:
            await sync_to_async(job, thread_sensitive=sensitive)()
        except asyncio.CancelledError:
            variable.append("cancelled")
            await asyncio.sleep(0)
            variable.append("continued")
            raise

    call = asyncio.create_task(caller())
    await job.running()
    call.cancel()
    await job.finish()

    with pytest.raises(asyncio.CancelledError):
        await call
    assert variable == ["cancelled", "continued"]


async def test_a_late_exception_is_logged_once(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        job()
        raise ValueError("too late")

    call = asyncio.create_task(sync_to_async(fail)())
    await job.running()
    call.cancel()
    await asyncio.wait((call,))
    with caplog.at_level(logging.ERROR, "bridge.sync"):
        await job.finish()
        await sync_to_async(abs)(1)

    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["too late"]


async def test_an_exception_in_the_loop_turn_of_the_cancellation_is_logged_once(
    caplog: pytest.LogCaptureFixture, sensitive: bool
) -> None:
    inbox = inbox_of(asyncio.get_running_loop())

    def fail() -> None:
        inbox.post(call.cancel)
        raise ValueError("too late")

    await sync_to_async(abs, thread_sensitive=sensitive)(1)
    call = asyncio.create_task(sync_to_async(fail, thread_sensitive=sensitive)())
    await asyncio.sleep(0)
    while len(inbox._posts) < 2:  # both run in the next turn of the loop
        threading.Event().wait(0.001)
    with caplog.at_level(logging.ERROR, "bridge.sync"):
        await asyncio.wait((call,))
        await sync_to_async(abs)(1)

    assert call.cancelled()
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["too late"]


async def test_an_exception_of_a_source_without_consumer_is_logged_once(
    job: Job, caplog: pytest.LogCaptureFixture, sensitive: bool
) -> None:
    def source() -> Iterator[int]:
        yield 1
        job()
        raise ValueError("too late")

    async def consume() -> None:
        async for _ in bridge.iterate_in_threads(source(), thread_sensitive=sensitive):
            pass

    consumer = asyncio.create_task(consume())
    await job.running()
    consumer.cancel()
    await asyncio.wait((consumer,))
    with caplog.at_level(logging.ERROR, "bridge.sync"):
        await job.finish()
        while not caplog.records:
            await asyncio.sleep(0.001)

    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["too late"]


async def test_a_shielded_call_is_not_cancelled(job: Job) -> None:
    call = asyncio.ensure_future(sync_to_async(job)())
    waiter = asyncio.create_task(asyncio.wait_for(asyncio.shield(call), 0.01))
    with pytest.raises(TimeoutError):
        await waiter
    job.go_on.set()

    assert await call == "done"
    assert job.cancelled == [False, False]


# -- cancellation that passes through sync code to a coroutine ------------------------------------


async def test_the_coroutine_that_the_sync_code_waits_for_is_cancelled(outer: Any) -> None:
    steps: list[str] = []
    started = asyncio.Event()

    async def innermost() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            steps.append("coroutine")
            raise

    def middle() -> None:
        try:
            outer.async_to_sync(innermost)()
        finally:
            steps.append("sync code")

    call = asyncio.create_task(sync_to_async(middle)())
    await started.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert steps == ["coroutine", "sync code"], "everything unwinds before the caller continues"


async def test_cancellation_passes_through_three_levels() -> None:
    steps: list[str] = []
    started = asyncio.Event()

    async def innermost() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            steps.append("innermost")

    def sync_2() -> None:
        try:
            async_to_sync(innermost)()
        finally:
            steps.append("sync 2")

    async def between() -> None:
        try:
            await sync_to_async(sync_2)()
        finally:
            steps.append("between")

    def sync_1() -> None:
        try:
            async_to_sync(between)()
        finally:
            steps.append("sync 1")

    call = asyncio.create_task(sync_to_async(sync_1)())
    await started.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert steps == ["innermost", "sync 2", "between", "sync 1"]


async def test_a_coroutine_may_refuse_to_be_cancelled(outer: Any) -> None:
    """asgiref #434: the call then has a result, as behind ``asyncio.shield``."""
    started = asyncio.Event()

    async def stubborn() -> str:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
        return "finished anyway"

    call = asyncio.create_task(sync_to_async(outer.async_to_sync(stubborn))())
    await started.wait()
    call.cancel()

    assert await call == "finished anyway"


async def test_a_caller_that_is_cancelled_twice_does_not_wait(job: Job) -> None:
    started = asyncio.Event()

    async def innermost() -> None:
        started.set()
        await asyncio.Event().wait()

    def middle() -> None:
        try:
            async_to_sync(innermost)()
        finally:
            job()

    call = asyncio.create_task(sync_to_async(middle)())
    await started.wait()
    call.cancel()
    await job.running()
    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call
    assert not job.ended.is_set()
    await job.finish()
    assert job.cancelled == [False, True]


async def test_the_next_coroutine_of_an_abandoned_function_is_cancelled(job: Job) -> None:
    """asgiref #535: a cancellation between two coroutines must not be lost."""
    outcome: list[BaseException] = []
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def innermost() -> None:
        await asyncio.Event().wait()

    def middle() -> None:
        job()
        try:
            async_to_sync(innermost)()
        except BaseException as error:
            outcome.append(error)
        loop.call_soon_threadsafe(ended.set)

    call = asyncio.create_task(sync_to_async(middle)())
    await job.running()
    call.cancel()
    await asyncio.wait((call,))
    job.go_on.set()
    await ended.wait()

    assert isinstance(outcome[0], asyncio.CancelledError)


async def test_a_timeout_of_the_caller_reaches_a_coroutine_on_a_new_loop() -> None:
    steps: list[str] = []
    loop = asyncio.get_running_loop()

    async def innermost() -> None:
        loop.call_soon_threadsafe(lambda: timeout.reschedule(loop.time()))
        try:
            await asyncio.Event().wait()
        finally:
            steps.append("cancelled")

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as timeout:  # expires once the coroutine has started
            await sync_to_async(async_to_sync(innermost, force_new_loop=True))()

    assert steps == ["cancelled"]


async def test_a_coroutine_that_has_not_started_unwinds_before_the_caller_continues(
    sensitive: bool,
) -> None:
    steps: list[str] = []
    posts = inbox_of(asyncio.get_running_loop())._posts

    def middle() -> None:
        try:
            async_to_sync(asyncio.Event().wait)()
        finally:
            steps.append("sync code")

    await sync_to_async(abs, thread_sensitive=sensitive)(1)
    call = asyncio.create_task(sync_to_async(middle, thread_sensitive=sensitive)())
    await asyncio.sleep(0)
    while not posts:  # the thread posts its coroutine during this turn of the loop
        threading.Event().wait(0.001)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert steps == ["sync code"]


# -- cancellation in the body of an async manager, or of an iteration ------------------------------


@contextlib.asynccontextmanager
async def recorded(steps: list[str]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        steps.append("exited")


async def numbers(steps: list[str]) -> AsyncIterator[int]:
    async with recorded(steps):
        while True:
            yield 1


@pytest.mark.parametrize("helper", ["enter_in_loop", "iterate_in_loop"])
async def test_a_cancelled_caller_does_not_wait_for_plain_code_in_the_body(
    helper: str, job: Job, sensitive: bool
) -> None:
    steps: list[str] = []

    def body() -> None:
        job()
        steps.append("body")

    def manage() -> None:
        with bridge.enter_in_loop(recorded(steps)):
            body()

    def iterate() -> None:
        for _ in bridge.iterate_in_loop(numbers(steps), window=1):
            body()
            break

    function = manage if helper == "enter_in_loop" else iterate
    call = asyncio.create_task(sync_to_async(function, thread_sensitive=sensitive)())
    await job.running()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not steps
    await job.finish()
    while "exited" not in steps:
        await asyncio.sleep(0.001)

    assert job.cancelled == [False, True]
    assert steps == ["body", "exited"]


async def test_an_async_manager_exited_in_another_call_is_cancelled_with_that_call(
    job: Job,
) -> None:
    steps: list[str] = []
    exiting = asyncio.Event()

    @contextlib.asynccontextmanager
    async def slow_to_exit() -> AsyncIterator[None]:
        yield
        exiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            steps.append("unwound")

    async def body() -> None:
        async with bridge.enter_in_threads(bridge.enter_in_loop(slow_to_exit())):
            pass

    call = asyncio.create_task(body())
    await exiting.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert steps == ["unwound"]


async def test_a_cancellation_between_two_items_reaches_the_source(job: Job) -> None:
    steps: list[str] = []

    async def source() -> AsyncIterator[int]:
        async with recorded(steps):
            yield 1
            await asyncio.Event().wait()

    def iterate() -> None:
        for _ in bridge.iterate_in_loop(source()):
            job()

    call = asyncio.create_task(sync_to_async(iterate)())
    await job.running()
    call.cancel()
    await asyncio.wait((call,))
    await job.finish()

    assert await sync_to_async(steps.copy)() == ["exited"]
