"""Jobs of a pool: submitted calls, jobs with a callback at their end, jobs of other executors."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from asyncio import CancelledError as TaskCancelledError
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Future, ThreadPoolExecutor
from typing import Any

import pytest

from bridge._threads.job import (
    Job,
    JobWithEnd,
    SubmittedCall,
    drop_error,
    submit_or_discard,
)
from bridge.errors import DeadlockError

TIMEOUT_S = 30


class Recorded(Job):
    """A job that records which of its methods are called."""

    settles = True

    def __init__(self, calls: list[str], error: BaseException | None = None) -> None:
        self.calls = calls
        self.error = error
        self.posted_at = 12.5

    def run(self) -> None:
        self.calls.append("run")
        if self.error is not None:
            raise self.error

    def settle(self) -> None:
        self.calls.append("settle")

    def remind(self) -> None:
        self.calls.append("remind")

    def discard(self, error: BaseException | None = None) -> None:
        self.calls.append(f"discard {error!r}")


def with_end(calls: list[str], error: BaseException | None = None) -> JobWithEnd:
    return JobWithEnd(Recorded(calls, error), lambda: calls.append("end"))


# -- a submitted call ------------------------------------------------------------------------------


def test_a_call_sets_its_result() -> None:
    before = time.monotonic()
    job = SubmittedCall(lambda: 7)
    assert not job.future.done()

    job.run()

    assert job.future.result(0) == 7
    assert before <= job.posted_at <= time.monotonic()


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()])
def test_a_call_that_raises_sets_its_exception(error: BaseException) -> None:
    def fail() -> None:
        raise error

    job = SubmittedCall(fail)

    job.run()

    assert job.future.exception(0) is error


def test_a_running_call_cannot_be_cancelled() -> None:
    seen: list[bool] = []
    job = SubmittedCall(lambda: seen.append(job.future.cancel()))

    job.run()

    assert seen == [False]
    assert job.future.result(0) is None


@pytest.mark.parametrize("cancel", [SubmittedCall.discard, lambda job: job.future.cancel()])
def test_a_cancelled_call_never_runs(cancel: Callable[[SubmittedCall], Any]) -> None:
    ran: list[bool] = []
    job = SubmittedCall(lambda: ran.append(True))

    cancel(job)
    job.run()

    assert ran == []
    with pytest.raises(CancelledError):
        job.future.result(0)


def test_an_exception_does_not_keep_the_call_in_memory() -> None:
    class Payload:
        def __call__(self) -> None:
            raise ValueError("no")

    payload = Payload()
    freed = weakref.ref(payload)
    job = SubmittedCall(payload)
    job.run()
    gc.disable()
    try:
        del payload, job
        assert freed() is None, "only the garbage collector would free it"
    finally:
        gc.enable()


# -- a job with a callback at its end --------------------------------------------------------------


def test_the_end_is_reported_once_after_the_run() -> None:
    calls: list[str] = []

    with_end(calls).run()

    assert calls == ["run", "end"]


def test_the_end_is_reported_once_after_a_run_that_raises() -> None:
    calls: list[str] = []

    with pytest.raises(SystemExit):
        with_end(calls, SystemExit(3)).run()

    assert calls == ["run", "end"]


def test_the_end_is_reported_once_after_a_discard() -> None:
    calls: list[str] = []
    error = RuntimeError("shut down")

    with_end(calls).discard(error)

    assert calls == [f"discard {error!r}", "end"]


def test_everything_else_reaches_the_job() -> None:
    calls: list[str] = []
    job = with_end(calls)

    job.settle()
    job.remind()

    assert calls == ["settle", "remind"]
    assert (job.posted_at, job.settles) == (12.5, True)
    assert not JobWithEnd(SubmittedCall(int), int).settles


# -- a job on another executor ---------------------------------------------------------------------


def test_a_submitted_job_runs_and_is_not_discarded() -> None:
    calls: list[Any] = []

    with ThreadPoolExecutor(1) as executor:
        submit_or_discard(executor, lambda: calls.append("run"), calls.append)

    assert calls == ["run"]


def test_a_job_dropped_by_a_shutdown_is_discarded_as_cancelled() -> None:
    started, finish = threading.Event(), threading.Event()
    calls: list[Any] = []

    def block() -> None:
        started.set()
        finish.wait(TIMEOUT_S)

    executor = ThreadPoolExecutor(1)
    executor.submit(block)
    assert started.wait(TIMEOUT_S)

    submit_or_discard(executor, lambda: calls.append("run"), calls.append)
    assert calls == []
    executor.shutdown(wait=False, cancel_futures=True)
    finish.set()
    executor.shutdown()

    assert [type(call) for call in calls] == [TaskCancelledError]


def test_a_job_dropped_by_a_failed_initializer_is_discarded_with_its_error() -> None:
    calls: list[Any] = []
    discarded = threading.Event()

    def discard(error: BaseException) -> None:
        calls.append(error)
        discarded.set()

    with ThreadPoolExecutor(1, initializer=lambda: 1 / 0) as executor:
        submit_or_discard(executor, lambda: calls.append("run"), discard)
        assert discarded.wait(TIMEOUT_S)

    assert [isinstance(call, BrokenExecutor) for call in calls] == [True]


def test_an_executor_that_is_shut_down_raises() -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()

    with pytest.raises(RuntimeError, match="shutdown"):
        submit_or_discard(executor, int, print)


def test_the_error_of_a_dropped_job_is_found_in_its_future() -> None:
    ran, failed, cancelled = Future[int](), Future[int](), Future[int]()
    error = BrokenExecutor("no thread")
    ran.set_result(1)
    failed.set_exception(error)
    cancelled.cancel()

    assert drop_error(ran) is None
    assert drop_error(failed) is error
    assert type(drop_error(cancelled)) is TaskCancelledError


def test_a_submitted_call_that_fails_in_its_queue_never_runs() -> None:
    ran: list[int] = []
    call = SubmittedCall(lambda: ran.append(1))

    call.fail(DeadlockError("it would never start"))
    call.run()
    call.discard()

    with pytest.raises(DeadlockError):
        call.future.result(0)
    assert ran == []


def test_a_submitted_call_that_runs_cannot_fail() -> None:
    call = SubmittedCall(lambda: call.fail(DeadlockError("too late")))

    call.run()

    assert call.future.result(0) is None
