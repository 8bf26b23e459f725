"""Limits within a pool, named pools, and their statistics."""

from __future__ import annotations

import asyncio
import threading

import pytest

import bridge.sync
from bridge import ConfigError, PoolClosed, WorkerPool, sync_to_async
from bridge.sync.pools import Limit

DEADLINE_S = 30


class Crowd:
    """Calls that wait until ``open`` is set, and count how many run at once."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0
        self.lock = threading.Lock()
        self.arrived = threading.Semaphore(0)
        self.open = threading.Event()

    def enter(self, number: int) -> int:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.arrived.release()
        assert self.open.wait(DEADLINE_S)
        with self.lock:
            self.inside -= 1
        return number

    def wait_for(self, count: int) -> None:
        for _ in range(count):
            assert self.arrived.acquire(timeout=DEADLINE_S)


async def test_no_more_than_the_limit_run_at_once() -> None:
    crowd = Crowd()
    group = bridge.sync.limit(3)
    enter = sync_to_async(crowd.enter, thread_sensitive=False, executor=group)
    calls = [asyncio.create_task(enter(number)) for number in range(10)]
    await asyncio.to_thread(crowd.wait_for, 3)
    stats = group.stats()
    crowd.open.set()

    assert await asyncio.gather(*calls) == list(range(10))
    assert crowd.most == 3
    assert (stats.running, stats.waiting) == (3, 7)
    while group.stats().running:  # the last slots are released a moment after their calls
        await asyncio.sleep(0.001)
    assert group.stats().completed == 10
    assert group.stats().wait_max_s > 0


async def test_a_limit_of_one_runs_calls_in_their_order() -> None:
    order: list[int] = []
    append = sync_to_async(order.append, thread_sensitive=False, executor=bridge.sync.limit(1))

    await asyncio.gather(*(append(number) for number in range(100)))

    assert order == list(range(100))


async def test_calls_outside_of_the_group_are_not_delayed() -> None:
    crowd = Crowd()
    enter = sync_to_async(crowd.enter, thread_sensitive=False, executor=bridge.sync.limit(1))
    calls = [asyncio.create_task(enter(number)) for number in range(3)]
    await asyncio.to_thread(crowd.wait_for, 1)

    assert await sync_to_async(abs, thread_sensitive=False)(-1) == 1
    crowd.open.set()
    await asyncio.gather(*calls)


async def test_a_limit_may_use_any_pool() -> None:
    pool = WorkerPool(2, name="its-pool")
    group = bridge.sync.limit(1, executor=pool)
    name = sync_to_async(lambda: threading.current_thread().name, thread_sensitive=False)
    named = sync_to_async(name.func, thread_sensitive=False, executor=group)  # type: ignore[attr-defined]  # ours

    assert (await named()).startswith("its-pool")
    pool.shutdown()


def test_a_limit_is_an_executor() -> None:
    group = bridge.sync.limit(2)

    assert sorted(group.map(abs, [-1, -2, -3], timeout=DEADLINE_S)) == [1, 2, 3]
    with pytest.raises(ZeroDivisionError):
        group.submit(lambda: 1 // 0).result(DEADLINE_S)


def test_jobs_submitted_to_a_pool_that_is_shut_down_are_cancelled() -> None:
    pool = WorkerPool(1)
    go_on = threading.Event()
    pool.submit(go_on.wait, DEADLINE_S)
    group = bridge.sync.limit(1, executor=pool)
    futures = [group.submit(abs, -1) for _ in range(3)]
    pool.close(cancel_futures=True)
    go_on.set()

    assert all(future.cancelled() for future in futures)
    assert group.stats().threads == 0


async def test_a_cancelled_call_releases_its_slot() -> None:
    crowd = Crowd()
    group = bridge.sync.limit(1)
    enter = sync_to_async(crowd.enter, thread_sensitive=False, executor=group)
    first = asyncio.create_task(enter(1))
    await asyncio.to_thread(crowd.wait_for, 1)
    second = asyncio.create_task(enter(2))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait((second,))
    crowd.open.set()

    assert await first == 1
    assert await enter(3) == 3
    assert crowd.arrived.acquire(blocking=False)  # the third's
    assert not crowd.arrived.acquire(blocking=False)


async def test_a_pool_that_is_shut_down_fails_the_waiting_calls() -> None:
    pool = WorkerPool(1, name="closing")
    hold = threading.Event()
    pool.submit(hold.wait, DEADLINE_S)
    group = bridge.sync.limit(1, executor=pool)
    work = sync_to_async(abs, thread_sensitive=False, executor=group)
    calls = [asyncio.create_task(work(number)) for number in range(3)]
    await asyncio.sleep(0)
    pool.close(cancel_futures=True)
    results = await asyncio.gather(*calls, return_exceptions=True)

    assert [type(result) for result in results] == [PoolClosed] * 3
    with pytest.raises(PoolClosed):
        await work(1)
    assert group.stats().threads == 0, "a slot is lost"
    hold.set()


async def test_calls_that_wait_behind_a_submitted_job_fail_when_the_pool_is_shut_down() -> None:
    """They get the pool's error, not the cancellation of the job that had the slot."""
    crowd = Crowd()
    pool = WorkerPool(1)
    group = bridge.sync.limit(1, executor=pool)
    busy = pool.submit(crowd.enter, 0)
    await asyncio.to_thread(crowd.wait_for, 1)
    first = group.submit(int)
    enter = sync_to_async(crowd.enter, thread_sensitive=False, executor=group)
    second = asyncio.create_task(enter(1))
    await asyncio.sleep(0)

    pool.close(cancel_futures=True)
    crowd.open.set()

    with pytest.raises(PoolClosed):
        await asyncio.wait_for(second, DEADLINE_S)
    assert first.cancelled()
    assert await asyncio.to_thread(busy.result, DEADLINE_S) == 0
    pool.shutdown()


async def test_a_call_whose_slot_has_no_thread_yet_is_counted_as_waiting() -> None:
    pool = WorkerPool(1, name="busy")
    crowd = Crowd()
    group = bridge.sync.limit(2, executor=pool)
    enter = sync_to_async(crowd.enter, thread_sensitive=False, executor=group)
    calls = [asyncio.create_task(enter(number)) for number in range(3)]
    await asyncio.to_thread(crowd.wait_for, 1)
    stats = group.stats()
    crowd.open.set()
    await asyncio.gather(*calls)

    assert (stats.threads, stats.running, stats.waiting) == (2, 1, 2)
    pool.shutdown()


async def test_calls_beyond_the_backlog_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.sync.pools.BACKLOG", 2)
    crowd = Crowd()
    group = bridge.sync.limit(1, name="narrow")
    enter = sync_to_async(crowd.enter, thread_sensitive=False, executor=group)
    calls = [asyncio.create_task(enter(number)) for number in range(3)]
    await asyncio.to_thread(crowd.wait_for, 1)
    with pytest.raises(bridge.PoolSaturated, match="limit 'narrow': 1 calls run and 2 wait"):
        await enter(3)
    crowd.open.set()
    await asyncio.gather(*calls)

    assert group.stats().refused == 1


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "2"])
def test_a_limit_takes_a_positive_int(wrong: object) -> None:
    with pytest.raises(ConfigError, match="expected an int of 1 or more"):
        bridge.sync.limit(wrong)  # type: ignore[arg-type]  # on purpose


def test_a_named_pool_is_made_once() -> None:
    pool = bridge.sync.pool("pdf", threads=2)

    assert bridge.sync.pool("pdf") is pool
    assert bridge.sync.pool("pdf", threads=2) is pool
    assert pool.stats().threads == 0
    with pytest.raises(
        ConfigError, match="threads=3: expected 2, the value that pool 'pdf' was made with"
    ):
        bridge.sync.pool("pdf", threads=3)
    with pytest.raises(ConfigError, match="backlog"):
        bridge.sync.pool("pdf", backlog=1)


async def test_stats_show_every_pool_and_limit() -> None:
    bridge.sync.pool("reports", threads=1)
    group = bridge.sync.limit(1, name="exports")
    await sync_to_async(abs, thread_sensitive=False)(1)
    stats = bridge.sync.stats()

    assert {"reports", "exports", "bridge-sync"} <= set(stats)
    assert stats["bridge-sync"].completed >= 1
    assert stats["exports"] == group.stats()
    assert isinstance(group, Limit)
