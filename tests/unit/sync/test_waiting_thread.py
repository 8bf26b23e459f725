"""Jobs of an executor that is paused or closed: who runs them, and that nobody spins for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import asgiref.sync
import pytest

from bridge._threads.asgiref_state import executor_waiting_here
from bridge.sync.waiting_thread import WaitingThread

T = TypeVar("T")
DEADLINE_S = 30


def on_another_thread(call: Callable[[], T]) -> T:
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(call).result(DEADLINE_S)


def paused() -> WaitingThread:
    """An executor of this thread, whose coroutine continues meanwhile."""
    executor = WaitingThread()
    executor.notify(ended=False)
    assert executor.run_jobs(0)
    assert executor.is_paused
    return executor


def test_a_thread_that_has_run_a_job_of_a_paused_executor_sleeps_again() -> None:
    """It returns after ``poll_s``, and so does not run in a circle until it is notified."""
    returned: list[bool] = []

    def serve() -> None:
        before, current = paused(), WaitingThread()
        assert not current.run_jobs(0)  # from now on, jobs of the other one notify this one
        job = on_another_thread(lambda: before.submit(threading.current_thread))
        returned.append(current.run_jobs(0))
        assert job.result(0) is threading.current_thread()
        before.close()

    thread = threading.Thread(target=serve, daemon=True)  # it would never end
    thread.start()
    thread.join(DEADLINE_S)
    assert returned == [False]


@pytest.mark.parametrize("between", [0, 1, 2])
def test_a_closed_executor_passes_its_jobs_to_asgirefs_further_out(between: int) -> None:
    """A manager or an iteration may be dropped on another thread.

    :param between: how many executors of ours, which are closed, are between the two.
    """

    def on_waiting_thread() -> tuple[threading.Thread, Future[threading.Thread]]:
        outer = executor_waiting_here()
        for _ in range(between):
            outer = WaitingThread(outer)
            outer.close()
        executor = WaitingThread(outer)
        job = on_another_thread(lambda: executor.submit(threading.current_thread))
        on_another_thread(executor.close)
        return threading.current_thread(), job

    async def wait() -> tuple[threading.Thread, Future[threading.Thread]]:
        return await asgiref.sync.sync_to_async(on_waiting_thread)()

    here, job = asgiref.sync.async_to_sync(wait)()

    assert here is threading.current_thread()
    assert job.result(0) is here


def test_a_closed_executor_passes_its_jobs_to_the_next_that_waits() -> None:
    outer = WaitingThread()
    closed = WaitingThread(outer)
    closed.close()
    executor = WaitingThread(closed)
    job = on_another_thread(lambda: executor.submit(threading.current_thread))
    on_another_thread(executor.close)
    assert not job.done()
    assert not outer.run_jobs(0)
    assert job.result(0) is threading.current_thread()
    outer.close()


def test_without_an_executor_further_out_a_job_is_dropped_on_close() -> None:
    executor = WaitingThread()
    job = on_another_thread(lambda: executor.submit(threading.current_thread))
    executor.close()
    assert job.cancelled()
