"""`sync_to_async`, as asgiref's documentation describes it."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import inspect
import sys
import threading
import weakref
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.thread import BrokenThreadPool
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
from asgiref.local import Local
from asgiref.sync import iscoroutinefunction

import bridge
from bridge import ConfigError, WorkerPool, sync_to_async
from tests.harness.builds import frees_at_once

DEADLINE_S = 30


def here() -> threading.Thread:
    return threading.current_thread()


async def test_a_call_returns_what_the_function_returns() -> None:
    def add(left: int, *, right: int) -> int:
        return left + right

    assert await sync_to_async(add)(1, right=2) == 3
    assert await sync_to_async(add, thread_sensitive=False)(1, right=2) == 3


async def test_a_call_raises_what_the_function_raises() -> None:
    error = ValueError("no")

    def fail() -> None:
        raise error

    with pytest.raises(ValueError, match="no") as caught:
        await sync_to_async(fail)()

    assert caught.value is error


async def test_stop_iteration_becomes_a_runtime_error() -> None:
    """A future cannot hold it, and a coroutine cannot raise it."""
    with pytest.raises(RuntimeError, match="StopIteration"):
        await sync_to_async(next)(iter(()))


async def test_the_loop_continues_while_the_function_blocks() -> None:
    opened = threading.Event()
    call = asyncio.create_task(sync_to_async(opened.wait)(DEADLINE_S))
    await asyncio.sleep(0)
    opened.set()

    assert await call


async def test_thread_sensitive_calls_run_one_after_the_other_on_one_thread() -> None:
    running = 0
    most = 0

    def work() -> threading.Thread:
        nonlocal running, most
        running += 1
        most = max(most, running)
        running -= 1
        return here()

    threads = await asyncio.gather(*(sync_to_async(work)() for _ in range(50)))

    assert len(set(threads)) == 1
    assert threads[0] is not here()
    assert most == 1


async def test_other_calls_run_at_the_same_time() -> None:
    meet = threading.Barrier(3)
    wait = sync_to_async(meet.wait, thread_sensitive=False)

    places = await asyncio.gather(*(wait(DEADLINE_S) for _ in range(3)))

    assert sorted(places) == [0, 1, 2]


async def test_other_calls_run_on_the_default_pool() -> None:
    thread = await sync_to_async(here, thread_sensitive=False)()

    assert thread.name.startswith("bridge-sync-")


async def test_calls_run_on_their_executor() -> None:
    with ThreadPoolExecutor(1, "mine") as executor:
        named = sync_to_async(here, thread_sensitive=False, executor=executor)
        assert (await named()).name.startswith("mine")
    pool = WorkerPool(1, name="pool-of-mine")
    named = sync_to_async(here, thread_sensitive=False, executor=pool)
    assert (await named()).name.startswith("pool-of-mine")
    pool.shutdown()


class Dropper:
    """An executor whose one thread is busy, and which then drops the jobs that wait."""

    def __init__(self) -> None:
        self.busy = threading.Event()
        self.executor = ThreadPoolExecutor(1)
        self.executor.submit(self.busy.wait, DEADLINE_S)

    async def drop(self) -> None:
        await asyncio.sleep(0)  # the calls are posted
        self.executor.shutdown(wait=False, cancel_futures=True)
        self.busy.set()


async def test_a_call_that_its_executor_drops_is_cancelled() -> None:
    dropper = Dropper()
    call = sync_to_async(here, thread_sensitive=False, executor=dropper.executor)
    calls = [asyncio.create_task(call()) for _ in range(3)]
    await dropper.drop()
    done, _ = await asyncio.wait(calls)

    assert all(call.cancelled() for call in done)


async def test_a_thread_sensitive_call_that_its_executor_drops_is_cancelled(outer: Any) -> None:
    dropper = Dropper()
    async with bridge.ThreadSensitiveContext(executor=dropper.executor):
        calls = [asyncio.create_task(outer.sync_to_async(here)()) for _ in range(3)]
        await dropper.drop()
        done, _ = await asyncio.wait(calls)

    assert all(call.cancelled() for call in done)


async def test_a_failing_initializer_fails_the_call() -> None:
    def fail() -> None:
        raise OSError("no database")

    executor = ThreadPoolExecutor(1, initializer=fail)

    with pytest.raises(BrokenThreadPool):
        await sync_to_async(here, thread_sensitive=False, executor=executor)()


async def test_a_reservation_that_its_executor_drops_is_cancelled() -> None:
    dropper = Dropper()
    numbers = bridge.iterate_in_threads([1, 2], thread_sensitive=False, executor=dropper.executor)
    first = asyncio.create_task(anext(numbers))
    entered = asyncio.create_task(_enter(nullcontext(), dropper.executor))
    await dropper.drop()
    done, _ = await asyncio.wait((first, entered))

    assert all(call.cancelled() for call in done)


async def _enter(manager: AbstractContextManager[None], executor: Executor) -> None:
    async with bridge.enter_in_threads(manager, thread_sensitive=False, executor=executor):
        pass


def test_an_executor_needs_thread_sensitive_false() -> None:
    with pytest.raises(TypeError, match="executor must not be set when thread_sensitive is True"):
        sync_to_async(here, executor=ThreadPoolExecutor(1))


def test_an_executor_of_processes_is_refused() -> None:
    with (
        ProcessPoolExecutor(1) as executor,
        pytest.raises(ConfigError, match="processes"),
    ):
        sync_to_async(here, thread_sensitive=False, executor=executor)


def test_async_callables_of_every_kind_are_refused() -> None:
    async def function() -> None: ...

    class Callable:
        async def __call__(self) -> None: ...

    for wrong in (function, functools.partial(function), Callable(), 1):
        with pytest.raises(TypeError, match="sync_to_async can only be applied to sync functions"):
            sync_to_async(wrong)  # type: ignore[arg-type]  # on purpose


async def test_it_is_a_decorator_with_and_without_arguments() -> None:
    @sync_to_async
    def plain() -> int:
        """Its docstring."""
        return 1

    @sync_to_async(thread_sensitive=False)
    def with_arguments() -> int:
        return 2

    assert (await plain(), await with_arguments()) == (1, 2)
    assert plain.__doc__ == "Its docstring."
    assert plain.__name__ == "plain"
    assert repr(plain).startswith("sync_to_async(")


async def test_it_works_on_methods_partials_and_callable_objects() -> None:
    class Shelf:
        def __init__(self) -> None:
            self.height = 3

        @sync_to_async
        def decorated(self, more: int) -> int:
            return self.height + more

        def plain(self) -> int:
            return self.height

        def __call__(self) -> int:
            return -self.height

    shelf = Shelf()
    wrapped = sync_to_async(shelf.plain)

    assert await shelf.decorated(1) == 4
    assert await wrapped() == 3
    assert wrapped.__self__ is shelf  # type: ignore[attr-defined]  # Django reads it
    assert await sync_to_async(shelf)() == -3
    assert await sync_to_async(functools.partial(max, 1))(2) == 2


def test_the_result_is_a_coroutine_function() -> None:
    wrapped = sync_to_async(here)

    assert iscoroutinefunction(wrapped)
    if sys.version_info >= (3, 12):
        assert inspect.iscoroutinefunction(wrapped)
    else:  # deprecated since 3.14
        assert asyncio.iscoroutinefunction(wrapped)


async def test_context_variables_pass_in_both_directions() -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("outside")

    def swap() -> str:
        before = variable.get()
        variable.set("inside")
        return before

    assert await sync_to_async(swap)() == "outside"
    assert variable.get() == "inside"


async def test_context_variables_of_one_call_never_reach_another() -> None:
    """P26, P27: worker threads are reused."""
    variable = contextvars.ContextVar("variable", default="unset")

    async def request(number: int) -> str:
        seen = await sync_to_async(variable.get, thread_sensitive=False)()
        await sync_to_async(variable.set, thread_sensitive=False)(f"request {number}")
        return seen

    assert set(await asyncio.gather(*(request(number) for number in range(40)))) == {"unset"}
    assert variable.get() == "unset"


async def test_it_runs_in_the_given_context() -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    context = contextvars.copy_context()

    await sync_to_async(variable.set, context=context)("inside")

    assert context[variable] == "inside"
    assert variable.get() == "unset"


async def test_asgiref_locals_pass_in_both_directions() -> None:
    local = Local()
    local.value = "outside"

    def swap() -> str:
        before: str = local.value
        local.value = "inside"
        return before

    assert await sync_to_async(swap)() == "outside"
    assert local.value == "inside"


async def test_thread_critical_locals_stay_on_their_thread() -> None:
    local = Local(thread_critical=True)
    local.value = "outside"

    assert not await sync_to_async(hasattr)(local, "value")


@pytest.mark.parametrize("thread_sensitive", [True, False])
async def test_the_exception_being_handled_is_also_handled_inside(thread_sensitive: bool) -> None:
    def exception() -> BaseException | None:
        return sys.exc_info()[1]

    handled = sync_to_async(exception, thread_sensitive=thread_sensitive)
    error = ValueError("being handled")

    async def call() -> None:
        try:
            raise error
        except ValueError:
            depth = len(list(_frames(error)))
            assert await handled() is error
            assert len(list(_frames(error))) == depth, "its traceback has grown"
        assert await handled() is None

    await call()
    await asyncio.create_task(call(), context=contextvars.Context())  # without asgiref's data


def _frames(error: BaseException) -> list[object]:
    frames: list[object] = []
    traceback = error.__traceback__
    while traceback is not None:
        frames.append(traceback.tb_frame)
        traceback = traceback.tb_next
    return frames


@pytest.mark.parametrize("thread_sensitive", [True, False])
async def test_a_bare_raise_inside_raises_what_is_being_handled(thread_sensitive: bool) -> None:
    def reraise() -> None:
        raise  # the caller is handling an exception

    try:
        raise ValueError("outer")
    except ValueError:
        with pytest.raises(ValueError, match="outer"):
            await sync_to_async(reraise, thread_sensitive=thread_sensitive)()


@frees_at_once
async def test_a_call_keeps_no_references() -> None:
    class Thing:
        pass

    def take(thing: Thing) -> None:
        raise ValueError

    thing = Thing()
    reference = weakref.ref(thing)
    gc.collect()
    gc.disable()
    try:
        for thread_sensitive in (True, False):
            with pytest.raises(ValueError):
                await sync_to_async(take, thread_sensitive=thread_sensitive)(thing)
        del thing
        async with asyncio.timeout(DEADLINE_S):
            while reference() is not None:  # a thread may drop the call a moment later
                await asyncio.sleep(0)
    finally:
        gc.enable()


async def test_a_task_group_collects_the_calls() -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(sync_to_async(abs)(-number)) for number in range(5)]

    assert [task.result() for task in tasks] == [0, 1, 2, 3, 4]


async def test_gather_collects_results_and_exceptions() -> None:
    results = await asyncio.gather(
        sync_to_async(int)("1"), sync_to_async(int)("x"), return_exceptions=True
    )

    assert results[0] == 1
    assert isinstance(results[1], ValueError)
