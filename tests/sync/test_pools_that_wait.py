"""Pools and limits whose calls wait for each other. asgiref's helpers wait forever there."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import asgiref.sync
import pytest

import bridge.sync
from bridge import DeadlockError, WorkerPool, async_to_sync, sync_to_async
from bridge.sync import deadlocks

DEADLINE_S = 30


@pytest.fixture(autouse=True)
def nothing_stays_registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(deadlocks, "CONFIRM_S", 0.1)
    yield
    deadline = time.monotonic() + DEADLINE_S
    while deadlocks._jobs:  # a cancelled call leaves the queue when its turn comes
        assert time.monotonic() < deadline
        time.sleep(0.002)


def on(executor: Any, call: Callable[[], Any], helper: Any = sync_to_async) -> Any:
    """Run sync code on a pool or limit, from async code."""
    return helper(call, thread_sensitive=False, executor=executor)()


def nested(executor: Any, call: Callable[[], Any], helper: Any = sync_to_async) -> Any:
    """Run sync code on a pool or limit, from sync code."""

    async def between() -> Any:
        return await on(executor, call, helper)

    return async_to_sync(between)()


async def circle(groups: list[Any], each: int, helper: Any = sync_to_async) -> list[Any]:
    """Fill each group with ``each`` calls; once all are full, each of them calls the next group.

    Returns the outcome of all calls.
    """
    full = threading.Barrier(len(groups) * each)

    def body(number: int) -> Any:
        full.wait(DEADLINE_S)
        following = groups[(number + 1) % len(groups)]
        return nested(following, lambda: "done", helper)

    calls = [
        on(group, partial(body, number), helper)
        for number, group in enumerate(groups)
        for _ in range(each)
    ]
    return await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), DEADLINE_S)


def pools(threads: int) -> list[Any]:
    return [bridge.sync.pool(f"{name}-{threads}", threads=threads) for name in ("first", "second")]


KINDS: dict[str, Callable[[int], list[Any]]] = {
    "pools": pools,
    "limits": lambda n: [bridge.sync.limit(n, name="first"), bridge.sync.limit(n, name="second")],
    "worker pools": lambda n: [WorkerPool(n, name="first"), WorkerPool(n, name="second")],
    "limits of worker pools": lambda n: [
        bridge.sync.limit(n, executor=WorkerPool(n), name="first"),
        bridge.sync.limit(n, executor=WorkerPool(n), name="second"),
    ],
    "a pool and a limit": lambda n: [pools(n)[0], bridge.sync.limit(n, name="second")],
    "a worker pool and a limit": lambda n: [
        WorkerPool(n, name="first"),
        bridge.sync.limit(n, executor=bridge.sync.pool(f"other-{n}", threads=n), name="second"),
    ],
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
async def test_the_call_that_completes_the_circle_fails(kind: str, threads: int) -> None:
    """The others go on, one of them in its place."""
    outcomes = await circle(KINDS[kind](threads), threads)

    errors = [each for each in outcomes if each != "done"]
    assert [type(each) for each in errors] == [DeadlockError]
    assert "first" in str(errors[0])
    assert "second" in str(errors[0])


async def test_calls_of_asgirefs_helper_fail_too() -> None:
    outcomes = await circle(pools(1), 1, asgiref.sync.sync_to_async)

    assert sorted(type(each).__name__ for each in outcomes) == ["DeadlockError", "str"]


async def test_a_circle_of_three_is_found() -> None:
    groups = [bridge.sync.limit(1, name="one"), *pools(1)]

    outcomes = await circle(groups, 1)

    (error,) = (each for each in outcomes if each != "done")
    assert isinstance(error, DeadlockError)
    for name in ("'one'", "'first-1'", "'second-1'"):
        assert name in str(error)


async def test_a_call_that_nests_on_its_own_worker_pool_fails() -> None:
    """Only the pools of ``bridge.sync.pool`` make room for it."""
    pool = WorkerPool(1, name="narrow")

    with pytest.raises(DeadlockError, match="'narrow' would never start"):
        await asyncio.wait_for(on(pool, lambda: nested(pool, int)), DEADLINE_S)

    assert await on(pool, int) == 0


async def test_a_call_waits_while_another_thread_can_go_on() -> None:
    """No circle: one of the two threads of the second pool works, and takes the call later."""
    first = bridge.sync.pool("narrow", threads=1)
    second = bridge.sync.pool("wide", threads=2)
    full = threading.Barrier(3)
    works = threading.Event()

    def in_first() -> str:
        full.wait(DEADLINE_S)
        return str(nested(second, lambda: "done"))

    def in_second() -> str:
        full.wait(DEADLINE_S)
        asyncio.run_coroutine_threadsafe(until_waiting(first, works), loop).result(DEADLINE_S)
        return "worked"

    def calls_first() -> str:
        full.wait(DEADLINE_S)
        return str(nested(first, lambda: "done"))

    async def until_waiting(pool: Any, event: threading.Event) -> None:
        while not pool.stats().waiting:
            await asyncio.sleep(0.001)

    loop = asyncio.get_running_loop()
    outcomes = await asyncio.wait_for(
        asyncio.gather(on(first, in_first), on(second, in_second), on(second, calls_first)),
        DEADLINE_S,
    )

    assert list(outcomes) == ["done", "worked", "done"]


async def test_a_call_that_was_cancelled_in_the_queue_does_not_count() -> None:
    first, second = pools(1)
    full = threading.Barrier(2)
    gave_up = threading.Event()

    async def gives_up() -> str:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await on(second, int)
        gave_up.set()
        await on(None, lambda: asked.wait(DEADLINE_S))
        return "gave up"

    asked = threading.Event()

    def in_first() -> Any:
        full.wait(DEADLINE_S)
        return async_to_sync(gives_up)()

    async def asks() -> str:
        call = asyncio.ensure_future(on(first, lambda: "done"))
        await asyncio.sleep(0)
        asked.set()
        return str(await call)

    def in_second() -> Any:
        full.wait(DEADLINE_S)
        assert gave_up.wait(DEADLINE_S)
        return async_to_sync(asks)()

    outcomes = await asyncio.wait_for(
        asyncio.gather(on(first, in_first), on(second, in_second)), DEADLINE_S
    )

    assert list(outcomes) == ["gave up", "done"]


async def test_a_thread_in_the_body_of_a_manager_does_not_wait() -> None:
    """A task of the manager may queue calls on its pool, although no other thread is there."""
    pool = WorkerPool(1, name="narrow")
    started: list[asyncio.Future[Any]] = []
    in_body = asyncio.Event()

    @contextlib.asynccontextmanager
    async def manager() -> AsyncIterator[None]:
        async def task() -> Any:
            await in_body.wait()
            return await on(pool, lambda: "done")

        started.append(asyncio.ensure_future(task()))
        yield

    async def outlive_the_circle() -> None:
        in_body.set()
        await asyncio.sleep(0)  # the task queues its call
        await asyncio.sleep(0)
        await asyncio.sleep(2 * deadlocks.CONFIRM_S)  # its timer is set after that of the call

    def body() -> str:
        with bridge.enter_in_loop(manager()):
            asyncio.run_coroutine_threadsafe(outlive_the_circle(), loop).result(DEADLINE_S)
        return "left"

    loop = asyncio.get_running_loop()
    assert await asyncio.wait_for(on(pool, body), DEADLINE_S) == "left"
    assert await asyncio.wait_for(started[0], DEADLINE_S) == "done"


async def test_a_circle_with_a_timeout_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the calls gives up before the circle counts as one."""
    monkeypatch.setattr(deadlocks, "CONFIRM_S", DEADLINE_S)
    groups = pools(1)
    full = threading.Barrier(2)

    async def gives_up() -> str:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await on(groups[1], int)
        return "gave up"

    def in_first() -> Any:
        full.wait(DEADLINE_S)
        return async_to_sync(gives_up)()

    def in_second() -> Any:
        full.wait(DEADLINE_S)
        return nested(groups[0], lambda: "done")

    calls = on(groups[0], in_first), on(groups[1], in_second)
    outcomes = await asyncio.wait_for(asyncio.gather(*calls), DEADLINE_S)

    assert list(outcomes) == ["gave up", "done"]
