"""Our calls in the queue of asgiref's executor: in batches that keep the order of all jobs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest

from bridge.sync.calls import Call
from bridge.sync.thread_sensitive import post_in_order

DEADLINE_S = 30


class Counting(ThreadPoolExecutor):
    """An executor of an unknown type, which may hide its queue: one ``submit`` for each call."""

    submits = 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.submits += 1
        return super().submit(fn, *args, **kwargs)


class Held:
    """An executor whose one thread is busy until ``open`` is set."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.open = threading.Event()
        started = threading.Event()

        def hold() -> None:
            started.set()
            self.open.wait(DEADLINE_S)

        executor.submit(hold)
        started.wait(DEADLINE_S)


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def call(function: Any, *args: Any) -> Call:
    return Call(function, args, {}, None, asyncio.get_running_loop())


async def test_many_calls_take_one_submit(
    executor: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    submits = []
    submit = executor.submit
    held = Held(executor)

    def counted(*args: Any) -> Future[Any]:
        submits.append(args)
        return submit(*args)

    monkeypatch.setattr(executor, "submit", counted)
    calls = [call(abs, -number) for number in range(100)]
    for each in calls:
        post_in_order(each, executor)
    held.open.set()

    assert [await each for each in calls] == list(range(100))
    assert len(submits) == 1


@pytest.mark.parametrize("foreign", [{0}, {5}, {3, 4, 7}, {9}, {0, 2, 4, 6, 8}])
async def test_jobs_of_others_are_not_overtaken(
    executor: ThreadPoolExecutor, foreign: set[int]
) -> None:
    order: list[int] = []
    held = Held(executor)
    calls, others = [], []
    for number in range(10):
        if number in foreign:
            others.append(executor.submit(order.append, number))
        else:
            calls.append(call(order.append, number))
            post_in_order(calls[-1], executor)
    held.open.set()
    for each in calls:
        await each
    for other in others:
        await asyncio.wrap_future(other)

    assert order == list(range(10))


async def test_a_job_submitted_while_a_batch_runs_is_not_delayed_by_later_calls(
    executor: ThreadPoolExecutor,
) -> None:
    order: list[str] = []
    started = threading.Event()
    go_on = threading.Event()

    def first() -> None:
        started.set()
        go_on.wait(DEADLINE_S)
        order.append("first")

    calls = [call(first)]
    post_in_order(calls[0], executor)
    assert started.wait(DEADLINE_S)
    calls.append(call(order.append, "joins the running batch"))
    post_in_order(calls[-1], executor)
    executor.submit(order.append, "another job")
    calls.append(call(order.append, "comes after that"))
    post_in_order(calls[-1], executor)
    go_on.set()
    for each in calls:
        await each

    assert order == [
        "first",
        "joins the running batch",
        "another job",
        "comes after that",
    ]


async def test_an_executor_that_hides_its_queue_gets_each_call() -> None:
    with Counting(1) as executor:
        calls = [call(abs, -number) for number in range(5)]
        for each in calls:
            post_in_order(each, executor)
        assert [await each for each in calls] == list(range(5))

    assert executor.submits == 5


async def test_an_executor_that_is_shut_down_refuses_each_call(
    executor: ThreadPoolExecutor,
) -> None:
    done = call(abs, -1)
    post_in_order(done, executor)
    assert await done == 1
    executor.shutdown()

    for _ in range(2):
        with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
            post_in_order(call(abs, -1), executor)
