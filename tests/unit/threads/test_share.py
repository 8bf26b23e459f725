"""A share of a pool: at most so many of its threads, and who waits for them."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from bridge._threads.borrowed import BorrowedPool
from bridge._threads.job import Job
from bridge._threads.pool import WorkerPool
from bridge._threads.share import Share
from bridge.errors import PoolClosed, PoolSaturated
from tests.unit.threads.test_pool import DEADLINE_S, Blocker, Call

Pool = WorkerPool | BorrowedPool


class Request(Call):
    """A job of a request."""

    is_request = True

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__(call)
        self.refused: BaseException | None = None
        self.ended = threading.Event()

    def run(self) -> None:
        super().run()
        self.ended.set()

    def discard(self, error: BaseException | None = None) -> None:
        super().discard(error)
        self.ended.set()

    def refuse(self, error: BaseException) -> None:
        self.refused = error
        self.ended.set()


@pytest.fixture(params=["own", "borrowed"])
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    if request.param == "own":
        own = WorkerPool(4, backlog=10, name="shared")
        yield own
        own.shutdown()
    else:
        with ThreadPoolExecutor(4) as executor:
            yield BorrowedPool(executor, backlog=10)


def share_of(pool: Pool, threads: int = 2, backlog: int = 3) -> Share:
    return Share(pool, threads, backlog=backlog, wait_target_s=0.1, name="the share")


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not is_so():
            await asyncio.sleep(0.001)  # polling: the threads have no event for it


async def test_no_more_jobs_run_than_the_share_has_threads(pool: Pool) -> None:
    share, blocker = share_of(pool), Blocker(2)
    loop = asyncio.get_running_loop()
    jobs = [Request(blocker.block) for _ in range(5)]
    for job in jobs:
        share.post(job, loop)
    await asyncio.to_thread(blocker.wait_until_blocked)
    other = Request(lambda: None)
    pool.post(other, loop)
    await until(other.ended.is_set)

    stats = share.stats()
    assert (stats.running, stats.waiting, stats.max_threads) == (2, 3, 2)
    assert pool.stats().running <= 3  # and ``other``, which has just ended

    blocker.release()
    await until(lambda: all(job.ended.is_set() for job in jobs))
    await until(lambda: share.stats().completed == 5)
    assert share.stats().running == share.stats().waiting == share.stats().threads == 0


async def test_one_more_than_the_backlog_is_refused(pool: Pool) -> None:
    share, blocker = share_of(pool, threads=1, backlog=1), Blocker(1)
    loop = asyncio.get_running_loop()
    jobs = [Request(blocker.block) for _ in range(3)]
    share.post(jobs[0], loop)
    await asyncio.to_thread(blocker.wait_until_blocked)
    share.post(jobs[1], loop)

    with pytest.raises(PoolSaturated, match=r"^the share: 1 jobs wait \(backlog=1\)$"):
        share.post(jobs[2], loop)

    blocker.release()
    await until(jobs[1].ended.is_set)
    assert share.stats().refused == 1


async def test_the_next_job_is_posted_behind_others_of_the_pool() -> None:
    """So that several shares, larger than the pool together, cannot starve it."""
    pool = WorkerPool(1, name="narrow")
    share, blocker, order = share_of(pool, threads=1), Blocker(1), []
    loop = asyncio.get_running_loop()
    share.post(Request(blocker.block), loop)
    await asyncio.to_thread(blocker.wait_until_blocked)
    share.post(shared := Request(lambda: order.append("share")), loop)
    pool.post(Request(lambda: order.append("pool")), loop)
    blocker.release()
    await until(shared.ended.is_set)

    assert order == ["pool", "share"]
    pool.shutdown()


async def test_a_job_that_the_pool_refuses_frees_its_place(pool: Pool) -> None:
    blocker, share = Blocker(4), share_of(pool)
    loop = asyncio.get_running_loop()
    for _ in range(4):
        pool.post(Request(blocker.block), loop)
    await asyncio.to_thread(blocker.wait_until_blocked)
    for _ in range(10):
        pool.post(Request(lambda: None), loop)

    for _ in range(5):
        with pytest.raises(PoolSaturated):
            share.post(Request(lambda: None), loop)

    assert share.stats().threads == 0
    blocker.release()


async def test_jobs_that_wait_are_refused_once_the_pool_is_shut_down() -> None:
    pool = WorkerPool(2, name="ending")
    share, blocker = share_of(pool, threads=1), Blocker(1)
    loop = asyncio.get_running_loop()
    jobs = [Request(blocker.block) for _ in range(3)]
    for job in jobs:
        share.post(job, loop)
    await asyncio.to_thread(blocker.wait_until_blocked)
    pool.close()
    blocker.release()
    await until(lambda: all(job.ended.is_set() for job in jobs))

    assert [type(job.refused) for job in jobs] == [type(None), PoolClosed, PoolClosed]
    assert share.stats().threads == 0


async def test_an_open_share_lets_the_pool_run_everything() -> None:
    pool = WorkerPool(3, name="ending")
    share, blocker = share_of(pool, threads=1), Blocker(3)
    loop = asyncio.get_running_loop()
    jobs = [Request(blocker.block) for _ in range(3)]
    for job in jobs:
        share.post(job, loop)
    share.open(loop)
    pool.close()
    await asyncio.to_thread(blocker.wait_until_blocked)
    blocker.release()
    await until(lambda: all(job.ended.is_set() for job in jobs))

    assert not any(job.refused for job in jobs)


@pytest.mark.parametrize("is_called", [False, True])
def test_a_place_is_not_lost_with_a_loop_that_is_closed(pool: Pool, is_called: bool) -> None:
    """``is_called``: the next job has the place already, but its loop ends before it gets there."""
    share, blocker = share_of(pool, threads=1), Blocker(1)
    lost = [Request(blocker.block) for _ in range(3)]

    async def post() -> None:
        for job in lost:
            share.post(job, asyncio.get_running_loop())
        await asyncio.to_thread(blocker.wait_until_blocked)

    async def post_again() -> None:
        job = Request(lambda: None)
        share.post(job, asyncio.get_running_loop())
        await until(job.ended.is_set)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(post())
    if is_called:
        blocker.release()
        while share.stats().completed < 1:
            os.sched_yield()
    loop.close()
    blocker.release()
    assert lost[0].ended.wait(DEADLINE_S)
    asyncio.run(post_again())
    assert [job.discarded for job in lost] == [False, True, True]


def test_jobs_of_two_loops_are_posted_from_their_own(pool: Pool) -> None:
    share, blocker = share_of(pool, threads=1), Blocker(1)
    posted_on: list[bool] = []
    post = pool.post

    def checked(job: Job, loop: asyncio.AbstractEventLoop) -> None:
        posted_on.append(asyncio.get_running_loop() is loop)
        post(job, loop)

    pool.post = checked  # type: ignore[method-assign]  # an observer

    async def hold() -> None:
        share.post(job := Request(blocker.block), asyncio.get_running_loop())
        await until(job.ended.is_set)

    async def wait() -> None:
        share.post(job := Request(lambda: None), asyncio.get_running_loop())
        waits.set()
        await until(job.ended.is_set)

    waits = threading.Event()
    with ThreadPoolExecutor(2) as loops:
        first = loops.submit(asyncio.run, hold())
        blocker.wait_until_blocked()
        second = loops.submit(asyncio.run, wait())
        assert waits.wait(DEADLINE_S)
        blocker.release()
        first.result(DEADLINE_S)
        second.result(DEADLINE_S)

    assert posted_on == [True, True]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
def test_a_forked_child_has_all_places() -> None:
    pool = WorkerPool(2, name="forked")
    share, blocker = share_of(pool, threads=1), Blocker(1)

    async def hold() -> None:
        share.post(Request(blocker.block), asyncio.get_running_loop())
        await asyncio.to_thread(blocker.wait_until_blocked)

    asyncio.run(hold())
    child = os.fork()
    if not child:
        os._exit(share.stats().threads)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert share.stats().threads == 1
    blocker.release()
    pool.shutdown()
