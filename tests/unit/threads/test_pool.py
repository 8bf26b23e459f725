"""The worker pool and borrowed executors: threads, wakeups, bounds, shutdown."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import pairwise
from typing import Any, NoReturn, Self

import pytest

from bridge._threads import reminder, thread_supply
from bridge._threads.borrowed import BorrowedPool
from bridge._threads.job import Job, ThreadWrittenOff
from bridge._threads.parking import EventfdParking
from bridge._threads.pool import WorkerPool
from bridge._threads.reminder import Reminder
from bridge.errors import ConfigError, PoolClosed, PoolSaturated
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


class Blocker:
    """Blocks the threads that run its jobs until :meth:`release`."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self._started = threading.Semaphore(0)
        self._released = threading.Event()

    def block(self) -> str:
        self._started.release()
        assert self._released.wait(DEADLINE_S)
        return threading.current_thread().name

    def wait_until_blocked(self) -> None:
        for _ in range(self.jobs):
            assert self._started.acquire(timeout=DEADLINE_S)

    def release(self) -> None:
        self._released.set()


def wait_until_idle(pool: WorkerPool) -> None:
    """Wait for idle workers: a worker sets its result just before it is idle."""
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


def test_a_pool_is_an_executor(pool: WorkerPool) -> None:
    assert isinstance(pool, Executor)
    assert list(pool.map(abs, [-1, -2])) == [1, 2]
    with pytest.raises(ZeroDivisionError):
        pool.submit(lambda: 1 // 0).result(DEADLINE_S)
    pool.shutdown()


def test_asyncio_accepts_a_pool_as_an_executor(pool: WorkerPool) -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(pool, lambda: threading.current_thread().name)

    assert asyncio.run(main()) == "test-1"
    pool.shutdown()


def test_submitted_calls_use_all_threads(pool: WorkerPool) -> None:
    blocker = Blocker(4)
    calls = [pool.submit(blocker.block) for _ in range(4)]
    blocker.wait_until_blocked()
    assert pool.stats().running == 4
    blocker.release()
    assert sorted(call.result(DEADLINE_S) for call in calls) == [f"test-{n}" for n in (1, 2, 3, 4)]
    pool.shutdown()


def test_posted_jobs_use_all_threads(pool: WorkerPool) -> None:
    blocker = Blocker(4)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(4):
            pool.post(Call(blocker.block), loop)
        await asyncio.to_thread(blocker.wait_until_blocked)
        blocker.release()

    asyncio.run(main())
    pool.shutdown(timeout_s=DEADLINE_S)
    assert pool.stats().completed == 4


def test_jobs_of_one_loop_iteration_wake_one_worker(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 3: and only at the end of that iteration of the loop."""
    pool.submit(int).result(DEADLINE_S)  # the first worker starts at once
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


def test_a_call_of_a_waiting_thread_wakes_its_worker_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """ADR 8: waking a thread by an eventfd releases the GIL."""
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


def test_a_job_posted_before_close_runs_before_the_pool_is_empty(pool: WorkerPool) -> None:
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


def test_blocked_jobs_do_not_delay_the_others() -> None:
    """Rule 4: a job that waits behind a blocked worker gets another thread."""
    pool = WorkerPool(40, name="test")
    blocker = Blocker(40)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(40):
            pool.post(Call(blocker.block), loop)
            await asyncio.sleep(0)
        await asyncio.to_thread(blocker.wait_until_blocked)
        blocker.release()

    asyncio.run(main())
    pool.shutdown(timeout_s=DEADLINE_S)


def test_a_loop_closed_during_a_tick_does_not_stop_later_ticks() -> None:
    pool = WorkerPool(3, name="test")
    blocker = Blocker(3)

    async def post_two() -> None:
        for _ in range(2):
            pool.post(Call(blocker.block), asyncio.get_running_loop())

    async def post_one() -> None:
        pool.post(Call(blocker.block), asyncio.get_running_loop())
        await asyncio.to_thread(blocker.wait_until_blocked)
        blocker.release()

    asyncio.run(post_two())
    asyncio.run(post_one())
    pool.shutdown(timeout_s=DEADLINE_S)


def test_a_loop_stopped_during_a_tick_does_not_stop_later_ticks() -> None:
    """A stopped loop may run again later. Jobs of another loop have their own tick."""
    pool = WorkerPool(3, name="test")
    blocker = Blocker(3)

    async def post(count: int) -> None:
        for _ in range(count):
            pool.post(Call(blocker.block), asyncio.get_running_loop())

    async def post_one() -> None:
        await post(1)
        await asyncio.to_thread(blocker.wait_until_blocked)
        blocker.release()

    stopped = asyncio.new_event_loop()
    try:
        stopped.run_until_complete(post(2))
        asyncio.run(post_one())
    finally:
        stopped.close()
    pool.shutdown(timeout_s=DEADLINE_S)


class Reminded(Call):
    """A job that counts its reminders."""

    def __init__(self) -> None:
        super().__init__(int)
        self.reminders = 0
        self.is_reminded = asyncio.Event()

    def remind(self) -> None:
        self.reminders += 1
        self.is_reminded.set()


async def test_a_job_that_waits_long_is_reminded_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reminder, "REMIND_S", 0.01)
    executor = ThreadPoolExecutor(1)
    for pool in (WorkerPool(1, name="test"), BorrowedPool(executor, backlog=9)):
        blocker = Blocker(1)
        loop = asyncio.get_running_loop()
        pool.post(Call(blocker.block), loop)
        await asyncio.to_thread(blocker.wait_until_blocked)
        jobs: list[Reminded] = []
        for _ in range(3):  # one after the other, so that there are several reminders
            jobs.append(Reminded())
            pool.post(jobs[-1], loop)
            await asyncio.wait_for(jobs[-1].is_reminded.wait(), DEADLINE_S)
        assert [job.reminders for job in jobs] == [1, 1, 1]
        blocker.release()
    executor.shutdown()


class ChangingJobs(deque[Job]):
    """Jobs that a thread takes while they are copied, as it can without the interpreter lock."""

    refusals = 3

    def copy(self) -> Self:
        if self.refusals:
            self.refusals -= 1
            raise RuntimeError("deque mutated during iteration")
        return super().copy()


async def test_jobs_that_change_while_they_are_gone_through_are_reminded_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reminder, "REMIND_S", 0.01)
    jobs = ChangingJobs()
    job = Reminded()
    jobs.append(job)

    Reminder(jobs).arm(asyncio.get_running_loop())
    await asyncio.wait_for(job.is_reminded.wait(), DEADLINE_S)

    assert (jobs.refusals, job.reminders) == (0, 1)


def test_the_most_recently_idle_worker_is_woken_first(pool: WorkerPool) -> None:
    blocker = Blocker(4)
    calls = [pool.submit(blocker.block) for _ in range(4)]
    blocker.wait_until_blocked()
    blocker.release()
    for call in calls:
        call.result(DEADLINE_S)
    names = []
    for _ in range(50):
        names.append(pool.submit(lambda: threading.current_thread().name).result(DEADLINE_S))
        while pool.stats().idle < 4:  # the worker has set its result but is not idle yet
            os.sched_yield()
    assert len(set(names[1:])) == 1
    pool.shutdown()


@pytest.mark.parametrize("value", [0, -1, "0.1", True])
def test_a_wrong_target_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"wait_target_s=.*: expected None or a number above 0"):
        WorkerPool(1, wait_target_s=value)


def test_a_full_backlog_raises_pool_saturated_at_once(pool: WorkerPool) -> None:
    blocker = Blocker(4)
    running = [pool.submit(blocker.block) for _ in range(4)]
    blocker.wait_until_blocked()
    waiting = [pool.submit(int) for _ in range(3)]
    with pytest.raises(
        PoolSaturated, match=r"all 4 threads are busy and 3 jobs wait \(backlog=3\)"
    ):
        pool.submit(int)
    assert pool.stats().refused == 1
    blocker.release()
    assert [call.result(DEADLINE_S) for call in waiting] == [0, 0, 0]
    assert len({call.result(DEADLINE_S) for call in running}) == 4
    pool.shutdown()


def test_jobs_for_free_threads_do_not_count_as_waiting() -> None:
    pool = WorkerPool(8, backlog=1, name="test")
    blocker = Blocker(8)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(8):  # all in one iteration of the loop: no worker has started yet
            pool.post(Call(blocker.block), loop)
        await asyncio.to_thread(blocker.wait_until_blocked)
        blocker.release()

    asyncio.run(main())
    pool.shutdown(timeout_s=DEADLINE_S)


def test_the_queue_wait_is_measured(pool: WorkerPool) -> None:
    blocker = Blocker(4)
    for _ in range(4):
        pool.submit(blocker.block)
    blocker.wait_until_blocked()
    late = pool.submit(int)
    assert pool.stats().waiting == 1
    blocker.release()
    late.result(DEADLINE_S)
    pool.shutdown()
    stats = pool.stats()
    assert stats.completed == 5
    assert 0 < stats.wait_max_s <= stats.wait_total_s


def test_a_cancelled_call_never_starts(pool: WorkerPool) -> None:
    blocker = Blocker(4)
    for _ in range(4):
        pool.submit(blocker.block)
    blocker.wait_until_blocked()
    started = threading.Event()
    call = pool.submit(started.set)
    assert call.cancel()
    blocker.release()
    pool.shutdown(timeout_s=DEADLINE_S)
    assert not started.is_set()


def test_shutdown_runs_waiting_jobs_and_joins_all_threads(pool: WorkerPool) -> None:
    before = set(threading.enumerate())
    blocker = Blocker(4)
    calls = [pool.submit(blocker.block) for _ in range(7)]
    blocker.wait_until_blocked()
    blocker.release()
    pool.shutdown()
    assert all(call.done() for call in calls)
    assert set(threading.enumerate()) <= before
    with pytest.raises(PoolClosed, match="test"):
        pool.submit(int)


def test_shutdown_can_cancel_waiting_jobs(pool: WorkerPool) -> None:
    blocker = Blocker(4)
    for _ in range(4):
        pool.submit(blocker.block)
    blocker.wait_until_blocked()
    waiting = pool.submit(int)
    pool.shutdown(wait=False, cancel_futures=True)
    assert waiting.cancelled()
    assert len(pool.join(timeout_s=0.01)) == 4
    blocker.release()
    assert pool.join(DEADLINE_S) == []


def test_join_waits_for_a_thread_that_is_about_to_end() -> None:
    pool = WorkerPool(1, name="test")
    pool.submit(int).result(DEADLINE_S)
    wait_until_idle(pool)
    ending, released = threading.Event(), threading.Event()

    def on_empty() -> None:
        ending.set()
        assert released.wait(DEADLINE_S)

    pool.close(on_empty)
    assert ending.wait(DEADLINE_S)
    assert pool.join(0.01) == ["test-1"]

    released.set()
    assert pool.join(DEADLINE_S) == []


def test_close_calls_back_when_the_last_thread_ends(pool: WorkerPool) -> None:
    empty = threading.Event()
    pool.submit(int).result(DEADLINE_S)
    pool.close(on_empty=empty.set)
    assert empty.wait(DEADLINE_S)


def test_closing_a_pool_without_threads_calls_back_at_once(pool: WorkerPool) -> None:
    empty = threading.Event()
    pool.close(on_empty=empty.set)
    assert empty.is_set()


def test_a_worker_can_shut_down_its_own_pool(pool: WorkerPool) -> None:
    pool.submit(pool.shutdown).result(DEADLINE_S)
    assert pool.join(DEADLINE_S) == []


def test_a_garbage_collected_pool_ends_its_idle_threads() -> None:
    pool = WorkerPool(2, name="dropped")
    pool.submit(int).result(DEADLINE_S)
    workers = [thread for thread in threading.enumerate() if thread.name.startswith("dropped-")]
    assert len(workers) == 1
    del pool
    gc.collect()
    for worker in workers:
        worker.join(DEADLINE_S)
        assert not worker.is_alive()


def test_a_worker_that_wakes_while_its_pool_is_collected_ends() -> None:
    """Until ``__del__`` returns, a weak reference returns the pool and resurrects it."""

    class Slow(WorkerPool):
        def __del__(self) -> None:
            super().__del__()
            threading.Event().wait(0.05)  # time for the worker to wake

    pool = Slow(2, name="slowly-dropped")
    pool.submit(int).result(DEADLINE_S)
    wait_until_idle(pool)
    (worker,) = pool._workers
    del pool
    worker.join(DEADLINE_S)
    assert not worker.is_alive()


def no_thread(self: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_failed_start_of_the_first_thread_is_raised_and_no_job_stays(pool: WorkerPool) -> None:
    async def main() -> None:
        with pytest.raises(PoolSaturated, match="has no thread, and none can be started: can't"):
            pool.post(Call(int), asyncio.get_running_loop())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        asyncio.run(main())
        with pytest.raises(RuntimeError, match="can't start"):
            pool.submit(int)
    assert (pool.stats().waiting, pool.stats().threads) == (0, 0)
    assert pool.submit(lambda: 7).result(DEADLINE_S) == 7
    pool.shutdown()


def test_a_failed_start_of_another_thread_is_logged_and_the_pool_continues(
    pool: WorkerPool, caplog: pytest.LogCaptureFixture
) -> None:
    blocker = Blocker(1)
    first = pool.submit(blocker.block)
    blocker.wait_until_blocked()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        second = pool.submit(lambda: threading.current_thread().name)
    assert "continues with 1 threads" in caplog.text
    blocker.release()
    assert second.result(DEADLINE_S) == first.result(DEADLINE_S)
    pool.shutdown()


async def test_a_system_without_threads_is_asked_again_later(
    pool: WorkerPool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at each tick of the loop: a traceback for each would fill the disk."""
    monkeypatch.setattr(thread_supply, "PAUSE_S", 0.2)
    loop = asyncio.get_running_loop()
    blocker = Blocker(2)
    attempts: list[float] = []

    def fail(self: threading.Thread) -> None:
        attempts.append(time.monotonic())
        raise RuntimeError("can't start new thread")

    pool.post(Call(blocker.block), loop)
    await asyncio.sleep(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        pool.post(Call(blocker.block), loop)
        pool.post(Call(int), loop)
        while len(attempts) < 3:
            await asyncio.sleep(0.01)
    assert min(later - earlier for earlier, later in pairwise(attempts)) >= 0.2
    assert caplog.text.count("continues with 1 threads: no other can be started") == len(attempts)

    await asyncio.wait_for(asyncio.to_thread(blocker.wait_until_blocked), DEADLINE_S)
    assert pool.stats().threads >= 2
    blocker.release()
    pool.shutdown()


def test_an_exception_of_a_job_is_logged_and_its_thread_continues(
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
def test_a_forked_child_starts_its_own_threads(pool: WorkerPool) -> None:
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


def test_idle_threads_do_not_keep_the_last_job_in_memory(pool: WorkerPool) -> None:
    class Payload:
        freed = threading.Event()

        def __call__(self) -> None: ...

        def __del__(self) -> None:
            self.freed.set()

    pool.submit(Payload()).result(DEADLINE_S)
    gc.collect()
    assert Payload.freed.wait(DEADLINE_S)
    pool.shutdown()


def test_the_running_jobs_are_known_with_their_threads(pool: WorkerPool) -> None:
    """And no other: not those that wait, and not the last job of an idle thread."""
    blocker = Blocker(jobs=2)
    before = time.monotonic()
    futures = [pool.submit(blocker.block) for _ in range(2)]
    blocker.wait_until_blocked()
    running = pool.running()
    blocker.release()
    assert sorted(each.thread.name for each in running) == ["test-1", "test-2"]
    assert all(before <= each.started_at <= time.monotonic() for each in running)
    for future in futures:
        future.result(DEADLINE_S)
    pool.shutdown()
    assert pool.running() == []


def test_a_borrowed_executor_is_bounded_and_measured_and_stays_open() -> None:
    with ThreadPoolExecutor(1) as executor:
        pool = BorrowedPool(executor, backlog=1)
        blocker = Blocker(1)

        async def main() -> None:
            loop = asyncio.get_running_loop()
            pool.post(Call(blocker.block), loop)
            await asyncio.to_thread(blocker.wait_until_blocked)
            pool.post(Call(int), loop)
            with pytest.raises(PoolSaturated):
                pool.post(Call(int), loop)
            assert (pool.stats().running, pool.stats().waiting) == (1, 1)
            blocker.release()

        asyncio.run(main())
        assert executor.submit(int).result(DEADLINE_S) == 0
        stats = pool.stats()
        assert (stats.completed, stats.refused, stats.waiting) == (2, 1, 0)
    with pytest.raises(PoolClosed):
        asyncio.run(_post(pool))


def test_a_job_dropped_by_a_borrowed_executor_is_discarded() -> None:
    executor = ThreadPoolExecutor(1)
    pool = BorrowedPool(executor, backlog=9)
    blocker = Blocker(1)
    job = Call(int)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        pool.post(Call(blocker.block), loop)
        await asyncio.to_thread(blocker.wait_until_blocked)
        pool.post(job, loop)
        executor.shutdown(wait=False, cancel_futures=True)
        blocker.release()

    asyncio.run(main())
    assert job.discarded
    assert pool.stats().waiting == 0
    executor.shutdown()


def test_a_job_is_discarded_if_a_borrowed_executor_cannot_start_a_thread(
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
    assert "ZeroDivisionError" in caplog.text  # logged by the executor


def test_a_job_that_a_borrowed_executor_refused_but_queued_never_runs() -> None:
    """``ThreadPoolExecutor`` queues the job before it finds that no thread can start."""
    queued: list[Callable[[], object]] = []

    class Refusing(Executor):
        def submit(self, fn: Callable[..., object], /, *args: object, **kwargs: object) -> NoReturn:
            queued.append(lambda: fn(*args, **kwargs))
            raise RuntimeError("can't start new thread")

    ran: list[bool] = []
    pool = BorrowedPool(Refusing(), backlog=9)

    async def main() -> None:
        with pytest.raises(PoolClosed, match="can't start new thread"):
            pool.post(Call(lambda: ran.append(True)), asyncio.get_running_loop())

    asyncio.run(main())
    queued[0]()
    assert ran == []
    assert pool.stats().running == 0


def test_a_job_that_a_borrowed_executor_did_not_take_costs_no_other_its_turn() -> None:
    """An executor with a bound of its own may raise what it likes."""

    class Bounded(ThreadPoolExecutor):
        is_full = False

        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            if self.is_full:
                raise queue.Full
            return super().submit(fn, *args, **kwargs)

    ran: list[str] = []
    gate = threading.Event()
    with Bounded(1) as executor:
        pool = BorrowedPool(executor, backlog=9)

        async def main() -> None:
            loop = asyncio.get_running_loop()
            pool.post(Call(lambda: gate.wait(DEADLINE_S)), loop)
            executor.is_full = True
            with pytest.raises(queue.Full):
                pool.post(Call(lambda: ran.append("not taken")), loop)
            executor.is_full = False
            pool.post(Call(lambda: ran.append("taken")), loop)

        try:
            asyncio.run(main())
        finally:
            gate.set()
    assert ran == ["taken"]
    assert pool.stats().waiting == 0


async def _post(pool: BorrowedPool) -> None:
    pool.post(Call(int), asyncio.get_running_loop())


def test_the_interpreter_exits_and_logs_a_job_that_never_ends() -> None:
    """A daemon thread blocked in foreign code must not keep the process alive."""
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


# -- threads that are written off ------------------------------------------------------------------


class Stuck(Call):
    """Runs until it is released; its thread is written off by then."""

    def __init__(self) -> None:
        super().__init__(int)
        self.begun = threading.Event()
        self.released = threading.Event()
        self.thread: threading.Thread | None = None

    def run(self) -> None:
        self.thread = threading.current_thread()
        self.begun.set()
        assert self.released.wait(DEADLINE_S)
        raise ThreadWrittenOff

    def write_off(self, pool: WorkerPool) -> None:
        assert self.begun.wait(DEADLINE_S)
        assert self.thread is not None
        assert pool.write_off(self.thread.ident or 0)


def test_a_job_that_found_all_threads_written_off_runs_once_one_of_them_returns() -> None:
    """Nothing else is posted, which would wake a thread as well."""
    pool = WorkerPool(1, name="lost")
    ran = threading.Event()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        lost = [Stuck(), Stuck()]
        for job in lost:
            pool.post(job, loop)
            await asyncio.to_thread(job.write_off, pool)
        assert pool.max_threads == 0
        pool.post(Call(ran.set), loop)
        await asyncio.sleep(0)  # the end of the turn, in which the loop would wake a thread
        lost[0].released.set()
        assert await asyncio.to_thread(ran.wait, DEADLINE_S)
        assert (pool.stats().lost, pool.max_threads) == (1, 1)
        lost[1].released.set()

    asyncio.run(main())
    pool.shutdown(timeout_s=DEADLINE_S)


def test_a_thread_that_returns_logs_if_no_other_can_be_started(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pool = WorkerPool(1, name="lost")
    lost = [Stuck(), Stuck()]
    for job in lost:
        pool.submit_job(job)
        job.write_off(pool)
    pool.submit_job(Call(int))

    def refuse(worker: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("bridge._threads.pool._Worker.start", refuse)
    for job in lost:
        job.released.set()
        assert job.thread is not None
        job.thread.join(DEADLINE_S)
    assert [record.name for record in caplog.records] == ["bridge.pool"] * 2
    assert "no thread can be started for the jobs that wait" in caplog.text
    assert pool.stats().lost == 0
