"""The adaptive limit of a pool: what is decided from a measurement, and when anything is measured.

`benchmarks/loop_lag.py` measures what it is good for.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from bridge._threads import lag_limit
from bridge._threads.lag_limit import PERIOD_S, WINDOW_S, LagLimit, Window
from bridge._threads.pool import WorkerPool
from bridge.errors import ConfigError
from tests.unit.threads.test_pool import DEADLINE_S, Blocker, Call

TARGET_S = 0.01
COMPUTE = {"elapsed_s": 0.1, "process_cpu_s": 0.095, "loop_cpu_s": 0.005}
WAIT = {"elapsed_s": 0.1, "process_cpu_s": 0.02, "loop_cpu_s": 0.01}
SHORT_OF_CPU = {"elapsed_s": 0.1, "process_cpu_s": 0.03, "loop_cpu_s": 0.002}
LOOP_BLOCKS = {"elapsed_s": 0.1, "process_cpu_s": 0.1, "loop_cpu_s": 0.09}


@pytest.mark.parametrize(
    ("lag_s", "cpu", "now", "busy", "limit"),
    [
        pytest.param(0.04, COMPUTE, 8, 8, 2, id="as many remain as fit into the target"),
        pytest.param(0.04, COMPUTE, 40, 8, 2, id="of those that run"),
        pytest.param(0.04, SHORT_OF_CPU, 8, 8, 2, id="also with a third of a CPU"),
        pytest.param(0.011, COMPUTE, 8, 8, 7, id="one less at least"),
        pytest.param(1.0, COMPUTE, 8, 8, 1, id="one remains"),
        pytest.param(1.0, COMPUTE, 1, 1, 1, id="one remains of one"),
        pytest.param(0.007, COMPUTE, 3, 3, 3, id="the same between half of the target and it"),
        pytest.param(0.001, COMPUTE, 3, 3, 4, id="one more below half of the target"),
        pytest.param(0.001, COMPUTE, 8, 8, 8, id="never more than the pool has"),
        pytest.param(0.001, WAIT, 3, 3, 6, id="twice as many where threads wait"),
        pytest.param(0.001, WAIT, 7, 3, 8, id="twice as many, up to all"),
        pytest.param(1.0, WAIT, 3, 3, 4, id="no less where threads wait, however late it is"),
        pytest.param(1.0, LOOP_BLOCKS, 8, 8, 8, id="no less where the loop blocks itself"),
    ],
)
def test_the_limit_after_a_window(
    lag_s: float, cpu: dict[str, float], now: int, busy: int, limit: int
) -> None:
    window = Window([lag_s, lag_s], **cpu)

    assert window.limit(now, busy, 8, TARGET_S) == limit


def test_the_lag_of_a_window_is_the_mean_of_its_samples() -> None:
    assert Window([0.01, 0.02, 0.06], **COMPUTE).lag_s == pytest.approx(0.03)


class Measured:
    """Counts the samples that a loop is asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.samples = 0
        measure_later = LagLimit._measure_later

        def counted(limit: LagLimit, pool: Any, loop: asyncio.AbstractEventLoop) -> None:
            self.samples += 1
            measure_later(limit, pool, loop)

        monkeypatch.setattr(LagLimit, "_measure_later", counted)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Measured:
    return Measured(monkeypatch)


async def run_one(pool: WorkerPool) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    pool.post(Call(lambda: loop.call_soon_threadsafe(ended.set)), loop)
    await asyncio.wait_for(ended.wait(), DEADLINE_S)


async def test_nothing_is_measured_without_the_option(measured: Measured) -> None:
    pool = WorkerPool(2, name="off")
    await run_one(pool)
    pool.shutdown()

    assert measured.samples == 0
    assert pool.stats().loop_lag_s is None


async def test_the_loop_is_measured_only_while_jobs_run(measured: Measured) -> None:
    pool, blocker = WorkerPool(2, loop_lag_target_s=60, name="on"), Blocker(1)
    loop = asyncio.get_running_loop()
    assert measured.samples == 0
    pool.post(Call(blocker.block), loop)
    async with asyncio.timeout(DEADLINE_S):
        while pool.stats().loop_lag_s is None:
            await asyncio.sleep(PERIOD_S)
    blocker.release()
    async with asyncio.timeout(DEADLINE_S):
        while pool.stats().loop_lag_s is not None:
            await asyncio.sleep(PERIOD_S)
    samples = measured.samples
    assert samples >= WINDOW_S / PERIOD_S / 2
    await asyncio.sleep(3 * PERIOD_S)
    assert measured.samples == samples

    await run_one(pool)
    assert measured.samples > samples
    pool.shutdown()


async def test_threads_over_the_limit_stop_as_they_end_their_jobs_and_come_back() -> None:
    pool, blocker = WorkerPool(4, name="limited"), Blocker(4)
    loop = asyncio.get_running_loop()
    for _ in range(4):
        pool.post(Call(blocker.block), loop)
    await asyncio.to_thread(blocker.wait_until_blocked)

    pool.limit_threads(1, loop)
    second = Blocker(1)
    for _ in range(4):
        pool.post(Call(second.block), loop)
    blocker.release()
    await asyncio.to_thread(second.wait_until_blocked)
    async with asyncio.timeout(DEADLINE_S):
        while pool.stats().idle < 3:
            await asyncio.sleep(0.001)
    stats = pool.stats()
    assert (stats.running, stats.waiting, stats.max_threads) == (1, 3, 1)

    pool.limit_threads(4, loop)
    async with asyncio.timeout(DEADLINE_S):
        while pool.stats().running < 4:
            await asyncio.sleep(0.001)
    second.release()
    pool.shutdown()


async def test_computing_threads_that_make_the_loop_late_are_limited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each sample is a second late, as far as the pool can see: it must not depend on the CPU."""
    late_s = 0.0
    clock = asyncio.get_running_loop().time

    def measure(limit: LagLimit, pool: Any, loop: Any, due: float) -> None:
        original(limit, pool, loop, due - late_s)

    original = LagLimit._measure
    monkeypatch.setattr(LagLimit, "_measure", measure)
    monkeypatch.setattr(lag_limit, "COMPUTING", 0.0)
    monkeypatch.setattr(time, "thread_time", lambda: 0.0)  # the loop's part
    pool = WorkerPool(4, loop_lag_target_s=0.5, name="computing")
    loop = asyncio.get_running_loop()
    ends = threading.Event()

    def compute() -> None:
        while not ends.is_set():
            sum(range(1000))

    late_s = 1.0
    for _ in range(4):
        pool.post(Call(compute), loop)
    began = clock()
    while pool.max_threads > 1:
        await asyncio.sleep(PERIOD_S)
        assert clock() - began < DEADLINE_S
    late_s = -1.0
    while pool.max_threads < 4:
        await asyncio.sleep(PERIOD_S)
        assert clock() - began < DEADLINE_S
    ends.set()
    await asyncio.to_thread(pool.shutdown)


async def test_short_jobs_with_pauses_get_all_threads_back() -> None:
    """No window is complete while one of them runs."""
    pool = WorkerPool(4, loop_lag_target_s=60, name="quick")
    await run_one(pool)
    pool.limit_threads(1, asyncio.get_running_loop())
    async with asyncio.timeout(DEADLINE_S):
        while pool.max_threads < 4:
            await run_one(pool)
            await asyncio.sleep(WINDOW_S / 4)
    pool.shutdown()


def test_a_loop_that_ends_while_jobs_run_is_not_measured_for_ever(measured: Measured) -> None:
    pool, blocker = WorkerPool(2, loop_lag_target_s=60, name="two loops"), Blocker(1)

    async def hold() -> None:
        pool.post(Call(blocker.block), asyncio.get_running_loop())
        await asyncio.to_thread(blocker.wait_until_blocked)

    asyncio.run(hold())
    before = measured.samples
    asyncio.run(run_one(pool))
    assert measured.samples > before
    blocker.release()
    pool.shutdown()


@pytest.mark.parametrize("value", [0, -1, "1"])
def test_a_wrong_target_is_named(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"loop_lag_target_s=.*: expected None or a number above"):
        WorkerPool(2, loop_lag_target_s=value)
