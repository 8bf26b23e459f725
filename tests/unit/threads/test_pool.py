"""The worker pool: threads, order, bounds, shutdown."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, NoReturn

import pytest

from bridge._threads import pool as pool_module
from bridge._threads.borrowed import BorrowedPool
from bridge._threads.job import Job
from bridge._threads.parking import EventfdParking
from bridge._threads.pool import WorkerPool
from bridge.errors import PoolClosed, PoolSaturated
from bridge.sync.pools import ElasticPool

DEADLINE_S = 30


class Call(Job):
    """A job that calls a function."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.call = call
        self.posted_at = time.monotonic()
        self.discarded = False

    def run(self) -> None:
        self.call()

    def discard(self, error: BaseException | None = None) -> None:
        self.discarded = True


class Gate:
    """Jobs that all wait inside until they are let go, and say when they have arrived."""

    def __init__(self, size: int) -> None:
        self.arrived = threading.Semaphore(0)
        self.open = threading.Event()
        self.size = size

    def enter(self) -> str:
        self.arrived.release()
        assert self.open.wait(DEADLINE_S)
        return threading.current_thread().name

    def wait_full(self) -> None:
        for _ in range(self.size):
            assert self.arrived.acquire(timeout=DEADLINE_S)


def wait_until_idle(pool: WorkerPool) -> None:
    """A worker goes idle a moment after it has given its result."""
    while pool.stats().idle < pool.stats().threads:
        os.sched_yield()


@pytest.fixture
def pool() -> WorkerPool:
    return WorkerPool(4, backlog=3, name="test")


def test_no_thread_starts_before_the_first_job(pool: WorkerPool) -> None:
    before = set(threading.enumerate())
    assert pool.stats().threads == 0
    assert pool.submit(lambda: 7).result(DEADLINE_S) == 7
    assert {thread.name for thread in set(threading.enumerate()) - before} == {"test-1"}
    pool.shutdown()
    assert set(threading.enumerate()) <= before


def test_it_is_an_executor(pool: WorkerPool) -> None:
    assert isinstance(pool, Executor)
    assert list(pool.map(abs, [-1, -2])) == [1, 2]
    with pytest.raises(ZeroDivisionError):
        pool.submit(lambda: 1 // 0).result(DEADLINE_S)
    pool.shutdown()


def test_asyncio_takes_it_as_an_executor(pool: WorkerPool) -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(pool, lambda: threading.current_thread().name)

    assert asyncio.run(main()) == "test-1"
    pool.shutdown()


def test_as_many_jobs_run_at_once_as_there_are_threads(pool: WorkerPool) -> None:
    gate = Gate(4)
    calls = [pool.submit(gate.enter) for _ in range(4)]
    gate.wait_full()
    assert pool.stats().running == 4
    gate.open.set()
    assert sorted(call.result(DEADLINE_S) for call in calls) == [f"test-{n}" for n in (1, 2, 3, 4)]
    pool.shutdown()


def test_as_many_posted_jobs_run_at_once_as_there_are_threads(pool: WorkerPool) -> None:
    gate = Gate(4)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(4):
            pool.post(Call(gate.enter), loop)
        await asyncio.to_thread(gate.wait_full)
        gate.open.set()

    asyncio.run(main())
    pool.shutdown(timeout_s=DEADLINE_S)
    assert pool.stats().completed == 4


def test_the_jobs_of_one_turn_wake_one_worker(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 3: and none of them before the loop is through with that turn."""
    pool.submit(int).result(DEADLINE_S)  # a first one is started at once
    wait_until_idle(pool)
    woken: list[object] = []
    monkeypatch.setattr(pool, "_wake_worker", woken.append)

    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        for _ in range(3):
            pool.post(Call(int), loop)
        before = len(woken)
        await asyncio.sleep(0)
        return [before, len(woken)]

    assert asyncio.run(main()) == [0, 1]


def test_a_call_that_is_waited_for_wakes_its_thread_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """ADR 8: waking it from an eventfd releases the interpreter."""
    pool = ElasticPool(2, backlog=3, name="test")
    pool.submit(int).result(DEADLINE_S)
    wait_until_idle(pool)
    woken: list[Any] = []
    monkeypatch.setattr(pool, "_wake_worker", woken.append)

    async def main() -> int:
        pool.post(Call(int), asyncio.get_running_loop())
        return len(woken)

    assert asyncio.run(main()) == 1
    assert isinstance(woken[0].parking, EventfdParking)


def test_a_job_of_the_same_turn_runs_before_a_closed_pool_is_empty(pool: WorkerPool) -> None:
    seen: list[str] = []
    empty = threading.Event()

    def see_empty() -> None:
        seen.append("empty")
        empty.set()

    async def main() -> None:
        pool.post(Call(lambda: seen.append("job")), asyncio.get_running_loop())
        pool.close(on_empty=see_empty)

    asyncio.run(main())
    assert empty.wait(DEADLINE_S)
    assert seen == ["job", "empty"]


def test_posted_jobs_that_block_do_not_hold_up_the_others() -> None:
    """Rule 4: a job behind a worker that blocks gets a thread of its own."""
    pool = WorkerPool(40, name="test")
    gate = Gate(40)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(40):
            pool.post(Call(gate.enter), loop)
            await asyncio.sleep(0)
        await asyncio.to_thread(gate.wait_full)
        gate.open.set()

    asyncio.run(main())
    pool.shutdown(timeout_s=DEADLINE_S)


def test_a_loop_that_closes_amid_a_tick_does_not_stop_the_ticking() -> None:
    pool = WorkerPool(3, name="test")
    gate = Gate(3)

    async def post_two() -> None:
        for _ in range(2):
            pool.post(Call(gate.enter), asyncio.get_running_loop())

    async def post_one() -> None:
        pool.post(Call(gate.enter), asyncio.get_running_loop())
        await asyncio.to_thread(gate.wait_full)
        gate.open.set()

    asyncio.run(post_two())
    asyncio.run(post_one())
    pool.shutdown(timeout_s=DEADLINE_S)


def test_a_loop_that_stops_amid_a_tick_does_not_stop_the_ticking() -> None:
    """It is not closed, and may go on later: for the jobs of another loop there is another tick."""
    pool = WorkerPool(3, name="test")
    gate = Gate(3)

    async def post(count: int) -> None:
        for _ in range(count):
            pool.post(Call(gate.enter), asyncio.get_running_loop())

    async def post_one() -> None:
        await post(1)
        await asyncio.to_thread(gate.wait_full)
        gate.open.set()

    stopped = asyncio.new_event_loop()
    try:
        stopped.run_until_complete(post(2))
        asyncio.run(post_one())
    finally:
        stopped.close()
    pool.shutdown(timeout_s=DEADLINE_S)


class Reminded(Call):
    """A job that counts how often it was reminded."""

    def __init__(self) -> None:
        super().__init__(int)
        self.reminders = 0
        self.is_reminded = asyncio.Event()

    def remind(self) -> None:
        self.reminders += 1
        self.is_reminded.set()


async def test_a_job_that_waits_for_long_is_reminded_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool_module, "REMIND_S", 0.01)
    executor = ThreadPoolExecutor(1)
    for pool in (WorkerPool(1, name="test"), BorrowedPool(executor, backlog=9)):
        gate = Gate(1)
        loop = asyncio.get_running_loop()
        pool.post(Call(gate.enter), loop)
        await asyncio.to_thread(gate.wait_full)
        jobs: list[Reminded] = []
        for _ in range(3):  # one after the other, so more than one reminder comes
            jobs.append(Reminded())
            pool.post(jobs[-1], loop)
            await asyncio.wait_for(jobs[-1].is_reminded.wait(), DEADLINE_S)
        assert [job.reminders for job in jobs] == [1, 1, 1]
        gate.open.set()
    executor.shutdown()


def test_the_last_worker_to_go_idle_is_the_first_to_be_woken(pool: WorkerPool) -> None:
    gate = Gate(4)
    calls = [pool.submit(gate.enter) for _ in range(4)]
    gate.wait_full()
    gate.open.set()
    for call in calls:
        call.result(DEADLINE_S)
    names = []
    for _ in range(50):
        names.append(pool.submit(lambda: threading.current_thread().name).result(DEADLINE_S))
        while pool.stats().idle < 4:  # it has given its result, but not gone idle yet
            os.sched_yield()
    assert len(set(names[1:])) == 1
    pool.shutdown()


def test_a_full_backlog_refuses_at_once(pool: WorkerPool) -> None:
    gate = Gate(4)
    running = [pool.submit(gate.enter) for _ in range(4)]
    gate.wait_full()
    waiting = [pool.submit(int) for _ in range(3)]
    with pytest.raises(
        PoolSaturated, match=r"all 4 threads are busy and 3 jobs wait \(backlog=3\)"
    ):
        pool.submit(int)
    assert pool.stats().refused == 1
    gate.open.set()
    assert [call.result(DEADLINE_S) for call in waiting] == [0, 0, 0]
    assert len({call.result(DEADLINE_S) for call in running}) == 4
    pool.shutdown()


def test_jobs_for_free_threads_do_not_count_as_waiting() -> None:
    pool = WorkerPool(8, backlog=1, name="test")
    gate = Gate(8)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(8):  # all in one turn of the loop: no worker has started yet
            pool.post(Call(gate.enter), loop)
        await asyncio.to_thread(gate.wait_full)
        gate.open.set()

    asyncio.run(main())
    pool.shutdown(timeout_s=DEADLINE_S)


def test_the_queue_wait_is_measured(pool: WorkerPool) -> None:
    gate = Gate(4)
    for _ in range(4):
        pool.submit(gate.enter)
    gate.wait_full()
    late = pool.submit(int)
    assert pool.stats().waiting == 1
    gate.open.set()
    late.result(DEADLINE_S)
    pool.shutdown()
    stats = pool.stats()
    assert stats.completed == 5
    assert 0 < stats.wait_max_s <= stats.wait_total_s


def test_a_cancelled_call_never_starts(pool: WorkerPool) -> None:
    gate = Gate(4)
    for _ in range(4):
        pool.submit(gate.enter)
    gate.wait_full()
    started = threading.Event()
    call = pool.submit(started.set)
    assert call.cancel()
    gate.open.set()
    pool.shutdown(timeout_s=DEADLINE_S)
    assert not started.is_set()


def test_shutdown_lets_waiting_jobs_run_and_joins_every_thread(pool: WorkerPool) -> None:
    before = set(threading.enumerate())
    gate = Gate(4)
    calls = [pool.submit(gate.enter) for _ in range(7)]
    gate.wait_full()
    gate.open.set()
    pool.shutdown()
    assert all(call.done() for call in calls)
    assert set(threading.enumerate()) <= before
    with pytest.raises(PoolClosed, match="test"):
        pool.submit(int)


def test_shutdown_can_discard_what_waits(pool: WorkerPool) -> None:
    gate = Gate(4)
    for _ in range(4):
        pool.submit(gate.enter)
    gate.wait_full()
    waiting = pool.submit(int)
    pool.shutdown(wait=False, cancel_futures=True)
    assert waiting.cancelled()
    assert len(pool.join(timeout_s=0.01)) == 4
    gate.open.set()
    assert pool.join(DEADLINE_S) == []


def test_close_tells_when_the_last_thread_ends(pool: WorkerPool) -> None:
    empty = threading.Event()
    pool.submit(int).result(DEADLINE_S)
    pool.close(on_empty=empty.set)
    assert empty.wait(DEADLINE_S)


def test_closing_a_pool_without_threads_tells_at_once(pool: WorkerPool) -> None:
    empty = threading.Event()
    pool.close(on_empty=empty.set)
    assert empty.is_set()


def test_a_worker_may_shut_its_own_pool_down(pool: WorkerPool) -> None:
    pool.submit(pool.shutdown).result(DEADLINE_S)
    assert pool.join(DEADLINE_S) == []


def test_a_dropped_pool_takes_its_idle_threads_with_it() -> None:
    pool = WorkerPool(2, name="dropped")
    pool.submit(int).result(DEADLINE_S)
    workers = [thread for thread in threading.enumerate() if thread.name.startswith("dropped-")]
    assert len(workers) == 1
    del pool
    gc.collect()
    for worker in workers:
        worker.join(DEADLINE_S)
        assert not worker.is_alive()


def test_a_thread_that_wakes_while_its_pool_is_dropped_ends_too() -> None:
    """Up to the end of ``__del__`` a weak reference gives the pool out, and then brings it back."""

    class Slow(WorkerPool):
        def __del__(self) -> None:
            super().__del__()
            threading.Event().wait(0.05)  # the worker has its turn

    pool = Slow(2, name="slowly-dropped")
    pool.submit(int).result(DEADLINE_S)
    wait_until_idle(pool)
    (worker,) = pool._workers
    del pool
    worker.join(DEADLINE_S)
    assert not worker.is_alive()


def no_thread(self: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_pool_that_can_start_no_thread_says_so_and_keeps_nothing(pool: WorkerPool) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="can't start"):
            pool.post(Call(int), asyncio.get_running_loop())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        asyncio.run(main())
        with pytest.raises(RuntimeError, match="can't start"):
            pool.submit(int)
    assert (pool.stats().waiting, pool.stats().threads) == (0, 0)
    assert pool.submit(lambda: 7).result(DEADLINE_S) == 7
    pool.shutdown()


def test_a_pool_that_can_start_no_more_threads_goes_on_with_those_it_has(
    pool: WorkerPool, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate(1)
    first = pool.submit(gate.enter)
    gate.wait_full()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        second = pool.submit(lambda: threading.current_thread().name)
    assert "continues with 1 threads" in caplog.text
    gate.open.set()
    assert second.result(DEADLINE_S) == first.result(DEADLINE_S)
    pool.shutdown()


def test_a_job_that_raises_is_logged_and_its_thread_goes_on(
    pool: WorkerPool, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise SystemExit(3)

    async def main() -> None:
        pool.post(Call(fail), asyncio.get_running_loop())

    with caplog.at_level(logging.ERROR, "bridge.pool"):
        asyncio.run(main())
        assert pool.submit(lambda: 1).result(DEADLINE_S) == 1
        pool.shutdown()
    assert len(caplog.records) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_gets_threads_of_its_own(pool: WorkerPool) -> None:
    assert pool.submit(os.getpid).result(DEADLINE_S) == os.getpid()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        answer = b"no"
        try:
            if pool.stats().threads == 0 and pool.submit(os.getpid).result(10) == os.getpid():
                answer = b"ok"
        finally:
            os.write(write, answer)
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 2) == b"ok"
    os.close(read)
    os.close(write)
    pool.shutdown()


def test_idle_threads_do_not_keep_the_last_job_alive(pool: WorkerPool) -> None:
    class Payload:
        freed = threading.Event()

        def __call__(self) -> None: ...

        def __del__(self) -> None:
            self.freed.set()

    pool.submit(Payload()).result(DEADLINE_S)
    gc.collect()
    assert Payload.freed.wait(DEADLINE_S)
    pool.shutdown()


def test_a_borrowed_executor_is_bounded_counted_and_left_running() -> None:
    with ThreadPoolExecutor(1) as executor:
        pool = BorrowedPool(executor, backlog=1)
        gate = Gate(1)

        async def main() -> None:
            loop = asyncio.get_running_loop()
            pool.post(Call(gate.enter), loop)
            await asyncio.to_thread(gate.wait_full)
            pool.post(Call(int), loop)
            with pytest.raises(PoolSaturated):
                pool.post(Call(int), loop)
            assert (pool.stats().running, pool.stats().waiting) == (1, 1)
            gate.open.set()

        asyncio.run(main())
        assert executor.submit(int).result(DEADLINE_S) == 0
        stats = pool.stats()
        assert (stats.completed, stats.refused, stats.waiting) == (2, 1, 0)
    with pytest.raises(PoolClosed):
        asyncio.run(_post(pool))


def test_a_job_that_the_borrowed_executor_drops_is_discarded() -> None:
    executor = ThreadPoolExecutor(1)
    pool = BorrowedPool(executor, backlog=9)
    gate = Gate(1)
    job = Call(int)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        pool.post(Call(gate.enter), loop)
        await asyncio.to_thread(gate.wait_full)
        pool.post(job, loop)
        executor.shutdown(wait=False, cancel_futures=True)
        gate.open.set()

    asyncio.run(main())
    assert job.discarded
    assert pool.stats().waiting == 0
    executor.shutdown()


def test_a_job_for_which_the_borrowed_executor_has_no_thread_is_discarded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    discarded = threading.Event()

    class Waited(Call):
        def discard(self, error: BaseException | None = None) -> None:
            discarded.set()

    with ThreadPoolExecutor(1, initializer=lambda: 1 / 0) as executor:
        pool = BorrowedPool(executor, backlog=9)

        async def main() -> None:
            pool.post(Waited(int), asyncio.get_running_loop())

        asyncio.run(main())
        assert discarded.wait(DEADLINE_S)
    assert "ZeroDivisionError" in caplog.text  # the executor's own


def test_a_job_that_the_borrowed_executor_refuses_and_keeps_is_not_run() -> None:
    """``ThreadPoolExecutor`` has queued the job by the time it finds that no thread can start."""
    kept: list[Callable[[], object]] = []

    class Refusing(Executor):
        def submit(self, fn: Callable[..., object], /, *args: object, **kwargs: object) -> NoReturn:
            kept.append(lambda: fn(*args, **kwargs))
            raise RuntimeError("can't start new thread")

    ran: list[bool] = []
    pool = BorrowedPool(Refusing(), backlog=9)

    async def main() -> None:
        with pytest.raises(PoolClosed, match="can't start new thread"):
            pool.post(Call(lambda: ran.append(True)), asyncio.get_running_loop())

    asyncio.run(main())
    kept[0]()
    assert ran == []
    assert pool.stats().running == 0


async def _post(pool: BorrowedPool) -> None:
    pool.post(Call(int), asyncio.get_running_loop())


def test_the_interpreter_exits_with_a_job_that_never_ends_and_says_so() -> None:
    """A daemon thread in foreign code must not hold the process for good."""
    import subprocess

    code = (
        "import bridge._threads.pool as p, threading;"
        "p.EXIT_JOIN_S = 0.1;"
        "pool = p.WorkerPool(1, name='stuck'); inside = threading.Event();"
        "pool.submit(lambda: (inside.set(), threading.Event().wait()));"
        "inside.wait()"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, timeout=DEADLINE_S, check=False, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr == (
        "the interpreter exits while jobs still run on stuck-1: waited 0.1 s for them\n"
    )
