"""The event loop of a process: leased, shared, ended, and replaced after a fork."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeAlias

import pytest
import uvloop

from bridge._threads import loop_thread as loop_module
from bridge._threads.loop_thread import LoopThread, acquire_loop, start_task
from bridge.errors import DeadlockError

TIMEOUT_S = 15

Factory: TypeAlias = Callable[[], AbstractEventLoop]


@pytest.fixture
def factory() -> Factory:
    """One that nobody else leases by: the default loop may be in use by ``async_to_sync``."""
    return lambda: asyncio.new_event_loop()


def ended(thread: LoopThread) -> bool:
    thread.join(TIMEOUT_S)
    return not thread.is_alive() and thread.loop.is_closed()


def on_loop(thread: LoopThread, function: Callable[[], Any]) -> Any:
    """What the function returns as a callback of the loop."""
    outcome: Future[Any] = Future()

    def call() -> None:
        try:
            outcome.set_result(function())
        except BaseException as error:
            outcome.set_exception(error)

    assert thread.inbox.post(call)
    return outcome.result(TIMEOUT_S)


def test_all_share_one_named_daemon_thread(factory: Factory) -> None:
    first, second = acquire_loop(factory), acquire_loop(factory)

    assert first is second
    assert (first.name, first.daemon) == ("bridge-loop", True)
    assert on_loop(first, threading.get_ident) == first.ident

    first.release()
    assert on_loop(second, asyncio.get_running_loop) is second.loop
    second.release()
    assert ended(second)


def test_who_comes_after_the_last_gets_a_new_loop(factory: Factory) -> None:
    first = acquire_loop(factory)
    first.release()
    second = acquire_loop(factory)

    assert second is not first
    assert on_loop(second, asyncio.get_running_loop) is second.loop
    second.release()
    assert ended(first)
    assert ended(second)


def test_uvloop_is_used_where_it_is_installed() -> None:
    thread = acquire_loop()
    assert isinstance(thread.loop, uvloop.Loop)
    thread.release()


def test_who_brings_a_factory_shares_with_the_same_factory_only(factory: Factory) -> None:
    everyones, mine, mine_too = acquire_loop(), acquire_loop(factory), acquire_loop(factory)

    assert mine is mine_too
    assert mine is not everyones
    assert not isinstance(mine.loop, uvloop.Loop)

    for thread in (everyones, mine, mine_too):
        thread.release()
    assert ended(mine)


def test_a_factory_that_fails_is_reported_and_leaves_nothing_behind() -> None:
    def broken() -> AbstractEventLoop:
        raise OSError("no descriptors left")

    before = set(threading.enumerate())
    with pytest.raises(OSError, match="no descriptors left"):
        acquire_loop(broken)

    assert set(threading.enumerate()) <= before


def test_many_first_leases_at_once_start_one_loop(factory: Factory) -> None:
    together = threading.Barrier(8)
    leased: list[LoopThread] = []

    def take() -> None:
        together.wait(TIMEOUT_S)
        leased.append(acquire_loop(factory))

    takers = [threading.Thread(target=take) for _ in range(8)]
    for taker in takers:
        taker.start()
    for taker in takers:
        taker.join(TIMEOUT_S)

    assert len(set(leased)) == 1
    for thread in leased:
        thread.release()
    assert ended(leased[0])


def test_what_still_runs_at_the_end_is_cancelled(factory: Factory) -> None:
    thread = acquire_loop(factory)
    seen: list[str] = []

    async def stays() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("cancelled")

    async def begin() -> asyncio.Task[None]:
        task = asyncio.create_task(stays())
        await asyncio.sleep(0)
        return task

    task = thread.submit(begin()).result(TIMEOUT_S)
    thread.release()

    assert ended(thread)
    assert seen == ["cancelled"]
    assert task.cancelled()


def test_an_exit_in_a_task_does_not_end_the_loop(
    caplog: pytest.LogCaptureFixture, factory: Factory
) -> None:
    thread = acquire_loop(factory)

    async def leave() -> None:
        raise SystemExit(3)

    future = thread.submit(leave())
    with pytest.raises(SystemExit):
        future.result(TIMEOUT_S)

    assert on_loop(thread, lambda: "alive") == "alive"
    assert "SystemExit(3) escaped from a task" in caplog.text
    thread.release()
    assert ended(thread)


def test_a_loop_that_an_app_stops_goes_on(factory: Factory) -> None:
    thread = acquire_loop(factory)
    thread.inbox.post(thread.loop.stop)

    assert on_loop(thread, lambda: "alive") == "alive"
    thread.release()
    assert ended(thread)


def test_a_lease_on_the_loops_own_thread_is_refused(factory: Factory) -> None:
    thread = acquire_loop(factory)

    with pytest.raises(DeadlockError, match="wait for itself"):
        on_loop(thread, lambda: acquire_loop(factory))

    thread.release()
    assert ended(thread)


def test_a_blocked_loop_is_reported_once_with_the_line_that_blocks_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, factory: Factory
) -> None:
    monkeypatch.setattr(loop_module, "STALL_S", 0.0)
    caplog.set_level(logging.WARNING)
    thread = acquire_loop(factory)
    blocking, go_on = threading.Event(), threading.Event()

    def block_the_loop() -> None:
        blocking.set()
        go_on.wait(TIMEOUT_S)

    thread.inbox.post(block_the_loop)
    blocking.wait(TIMEOUT_S)
    for _ in range(3):
        thread.probe()
        time.sleep(0.001)  # a clock with coarse ticks must go on between two looks
    go_on.set()

    (record,) = caplog.records
    assert "the event loop has been blocked" in record.getMessage()
    assert "in block_the_loop" in record.getMessage()

    assert on_loop(thread, lambda: "alive") == "alive"
    thread.probe()
    on_loop(thread, lambda: None)
    thread.probe()
    assert len(caplog.records) == 1, "a loop that answers is not reported"
    thread.release()
    assert ended(thread)


def test_a_fork_begins_without_a_loop_and_gets_its_own(factory: Factory) -> None:
    thread = acquire_loop(factory)
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:  # the child: report in one byte, and leave without the test runner's own exit
        try:
            mine = acquire_loop(factory)
            fine = mine is not thread and on_loop(mine, asyncio.get_running_loop) is mine.loop
            mine.release()
            os.write(writing, b"+" if fine and ended(mine) else b"-")
        finally:
            os._exit(0)
    os.waitpid(pid, 0)

    assert os.read(reading, 1) == b"+"
    assert on_loop(thread, lambda: "alive") == "alive", "the parent's loop is untouched"
    for descriptor in (reading, writing):
        os.close(descriptor)
    thread.release()
    assert ended(thread)


# -- the first step of a task ----------------------------------------------------------------------


@pytest.mark.parametrize("loop_factory", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_a_task_takes_its_first_step_at_once_and_in_its_context(
    loop_factory: Factory,
) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="-")
    thread = acquire_loop(loop_factory)
    seen: list[Any] = []

    async def steps() -> None:
        seen.append((variable.get(), asyncio.current_task()))
        async with asyncio.timeout(TIMEOUT_S):  # needs a real task, from the first step on
            await asyncio.sleep(0)
        variable.set("changed")
        seen.append((variable.get(), asyncio.current_task()))

    def begin() -> asyncio.Task[None]:
        context.run(variable.set, "given")
        task = start_task(thread.loop, steps(), context)
        assert seen == [("given", task)]
        assert asyncio.current_task() is None
        return task

    async def end(task: asyncio.Task[None]) -> None:
        await task

    context = contextvars.copy_context()
    task = on_loop(thread, begin)
    thread.submit(end(task)).result(TIMEOUT_S)

    assert context[variable] == "changed"
    assert on_loop(thread, variable.get) == "-"
    assert seen == [("given", task), ("changed", task)]
    thread.release()
    assert ended(thread)


@pytest.mark.parametrize("loop_factory", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_a_task_that_ends_or_fails_in_its_first_step_is_done(
    loop_factory: Factory,
) -> None:
    thread = acquire_loop(loop_factory)

    async def ends() -> None:
        pass

    async def fails() -> None:
        raise OSError("broken")

    def begin() -> None:
        context = contextvars.copy_context()
        assert start_task(thread.loop, ends(), context).done()
        failed = start_task(thread.loop, fails(), context)
        assert isinstance(failed.exception(), OSError)

    on_loop(thread, begin)
    thread.release()
    assert ended(thread)
