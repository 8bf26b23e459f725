"""The event loop thread of a process: acquired, shared, released, and replaced after a fork."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import signal
import sys
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, TypeAlias

import pytest

from bridge._threads import loop_thread as loop_module
from bridge._threads.loop_thread import LoopThread, acquire_loop, start_task
from bridge.errors import DeadlockError
from tests.harness.loops import FACTORIES

TIMEOUT_S = 15
DEFAULT_FACTORY = FACTORIES.get("uvloop", FACTORIES["asyncio"])

Factory: TypeAlias = Callable[[], AbstractEventLoop]


@pytest.fixture
def factory() -> Factory:
    """A loop factory of this test only: ``async_to_sync`` may use the default loop."""
    return lambda: asyncio.new_event_loop()


def has_ended(thread: LoopThread) -> bool:
    thread.join(TIMEOUT_S)
    return not thread.is_alive() and thread.loop.is_closed()


def on_loop(thread: LoopThread, function: Callable[[], Any]) -> Any:
    """Call a function as a callback of the loop and return its result."""
    outcome: Future[Any] = Future()

    def call() -> None:
        try:
            outcome.set_result(function())
        except BaseException as error:
            outcome.set_exception(error)

    assert thread.inbox.post(call)
    return outcome.result(TIMEOUT_S)


def test_all_users_share_one_named_daemon_thread(factory: Factory) -> None:
    first, second = acquire_loop(factory), acquire_loop(factory)

    assert first is second
    assert (first.name, first.daemon) == ("bridge-loop", True)
    assert on_loop(first, threading.get_ident) == first.ident

    first.release()
    assert on_loop(second, asyncio.get_running_loop) is second.loop
    second.release()
    assert has_ended(second)


def test_a_loop_acquired_after_the_last_release_is_new(factory: Factory) -> None:
    first = acquire_loop(factory)
    first.release()
    second = acquire_loop(factory)

    assert second is not first
    assert on_loop(second, asyncio.get_running_loop) is second.loop
    second.release()
    assert has_ended(first)
    assert has_ended(second)


def test_uvloop_is_used_if_it_is_installed() -> None:
    thread, default = acquire_loop(), DEFAULT_FACTORY()
    default.close()
    assert type(thread.loop) is type(default)
    thread.release()


def test_users_of_the_same_loop_factory_share_a_loop(factory: Factory) -> None:
    default, first, second = acquire_loop(), acquire_loop(factory), acquire_loop(factory)

    assert first is second
    assert first is not default
    assert isinstance(first.loop, asyncio.SelectorEventLoop)

    for thread in (default, first, second):
        thread.release()
    assert has_ended(first)


def test_an_exception_of_the_loop_factory_is_raised_and_no_thread_remains() -> None:
    def broken() -> AbstractEventLoop:
        raise OSError("no descriptors left")

    before = set(threading.enumerate())
    with pytest.raises(OSError, match="no descriptors left"):
        acquire_loop(broken)

    assert set(threading.enumerate()) <= before


@pytest.fixture
def interrupted() -> Iterator[threading.Event]:
    """Set by SIGUSR1, whose handler raises ``KeyboardInterrupt`` the first time."""
    interrupted = threading.Event()

    def interrupt(*_: object) -> None:
        if not interrupted.is_set():
            interrupted.set()
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    yield interrupted
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("made", ["before the interrupt", "after it"])
def test_an_interrupted_start_leaves_no_loop_running(
    factory: Factory, interrupted: threading.Event, made: str
) -> None:
    """The handler raises while the first user waits for the loop, which nobody else knows."""
    raised = threading.Event()
    loops: list[AbstractEventLoop] = []

    def make() -> AbstractEventLoop:
        if made == "before the interrupt":
            loops.append(factory())
        while not interrupted.wait(0.01):  # one that comes just before the wait does not end it
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        assert raised.wait(TIMEOUT_S)
        loops.extend([] if loops else [factory()])
        return loops[0]

    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        acquire_loop(make)
    started = set(threading.enumerate()) - before
    raised.set()

    for thread in started:
        thread.join(TIMEOUT_S)
    assert set(threading.enumerate()) <= before
    assert loops[0].is_closed()


def test_concurrent_first_users_start_one_loop(factory: Factory) -> None:
    barrier = threading.Barrier(8)
    acquired: list[LoopThread] = []

    def acquire() -> None:
        barrier.wait(TIMEOUT_S)
        acquired.append(acquire_loop(factory))

    users = [threading.Thread(target=acquire) for _ in range(8)]
    for user in users:
        user.start()
    for user in users:
        user.join(TIMEOUT_S)

    assert len(set(acquired)) == 1
    for thread in acquired:
        thread.release()
    assert has_ended(acquired[0])


def test_tasks_that_still_run_after_the_last_release_are_cancelled(factory: Factory) -> None:
    thread = acquire_loop(factory)
    seen: list[str] = []

    async def wait_forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("cancelled")

    async def start() -> asyncio.Task[None]:
        task = asyncio.create_task(wait_forever())
        await asyncio.sleep(0)
        return task

    task = thread.submit(start()).result(TIMEOUT_S)
    thread.release()

    assert has_ended(thread)
    assert seen == ["cancelled"]
    assert task.cancelled()


def test_system_exit_in_a_task_does_not_stop_the_loop(
    caplog: pytest.LogCaptureFixture, factory: Factory
) -> None:
    thread = acquire_loop(factory)

    async def exit_process() -> None:
        raise SystemExit(3)

    future = thread.submit(exit_process())
    with pytest.raises(SystemExit):
        future.result(TIMEOUT_S)

    assert on_loop(thread, lambda: "running") == "running"
    assert "SystemExit(3) escaped from a task" in caplog.text
    thread.release()
    assert has_ended(thread)


def test_a_loop_stopped_by_an_app_runs_again(factory: Factory) -> None:
    thread = acquire_loop(factory)
    thread.inbox.post(thread.loop.stop)

    assert on_loop(thread, lambda: "running") == "running"
    thread.release()
    assert has_ended(thread)


def test_acquiring_the_loop_on_its_own_thread_is_a_deadlock_error(factory: Factory) -> None:
    thread = acquire_loop(factory)

    with pytest.raises(DeadlockError, match="wait for itself"):
        on_loop(thread, lambda: acquire_loop(factory))

    thread.release()
    assert has_ended(thread)


def test_a_blocked_loop_is_logged_once_with_the_blocking_line(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, factory: Factory
) -> None:
    monkeypatch.setattr(loop_module, "STALL_S", 0.0)
    caplog.set_level(logging.WARNING)
    thread = acquire_loop(factory)
    blocking, release = threading.Event(), threading.Event()

    def block_the_loop() -> None:
        blocking.set()
        release.wait(TIMEOUT_S)

    thread.inbox.post(block_the_loop)
    blocking.wait(TIMEOUT_S)
    for _ in range(3):
        thread.probe()
        time.sleep(0.001)  # a coarse clock must advance between two probes
    release.set()

    (record,) = caplog.records
    assert "the event loop has been blocked" in record.getMessage()
    assert "in block_the_loop" in record.getMessage()

    assert on_loop(thread, lambda: "running") == "running"
    thread.probe()
    on_loop(thread, lambda: None)
    thread.probe()
    assert len(caplog.records) == 1, "a loop that answers its probes must not be reported"
    thread.release()
    assert has_ended(thread)


def test_threads_that_notice_a_blocked_loop_together_log_it_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, factory: Factory
) -> None:
    monkeypatch.setattr(loop_module, "STALL_S", 0.0)
    caplog.set_level(logging.WARNING)
    thread = acquire_loop(factory)
    released = threading.Event()
    together = threading.Barrier(8)

    def probe() -> None:
        for _ in range(20):
            together.wait(TIMEOUT_S)
            thread.probe()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread.inbox.post(lambda: released.wait(TIMEOUT_S))
    probing = [threading.Thread(target=probe) for _ in range(8)]
    for each in probing:
        each.start()
    for each in probing:
        each.join(TIMEOUT_S)
    sys.setswitchinterval(before)
    released.set()

    assert len(caplog.records) == 1
    thread.release()
    assert has_ended(thread)


def test_a_forked_child_starts_its_own_loop(factory: Factory) -> None:
    thread = acquire_loop(factory)
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:  # the child: report in one byte, and skip the exit handlers of the test runner
        try:
            mine = acquire_loop(factory)
            fine = mine is not thread and on_loop(mine, asyncio.get_running_loop) is mine.loop
            mine.release()
            os.write(writing, b"+" if fine and has_ended(mine) else b"-")
        finally:
            os._exit(0)
    os.waitpid(pid, 0)

    assert os.read(reading, 1) == b"+"
    assert on_loop(thread, lambda: "running") == "running", "the parent's loop must not change"
    for descriptor in (reading, writing):
        os.close(descriptor)
    thread.release()
    assert has_ended(thread)


# -- the first step of a task ----------------------------------------------------------------------


@pytest.mark.parametrize("loop_factory", FACTORIES.values(), ids=FACTORIES)
def test_a_started_task_runs_its_first_step_at_once_in_its_context(
    loop_factory: Factory,
) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="-")
    thread = acquire_loop(loop_factory)
    seen: list[Any] = []

    async def steps() -> None:
        seen.append((variable.get(), asyncio.current_task()))
        async with asyncio.timeout(TIMEOUT_S):  # needs a current task in the first step, too
            await asyncio.sleep(0)
        variable.set("changed")
        seen.append((variable.get(), asyncio.current_task()))

    def start() -> asyncio.Task[None]:
        context.run(variable.set, "given")
        task = start_task(thread.loop, steps(), context)
        assert seen == [("given", task)]
        assert asyncio.current_task() is None
        return task

    async def wait_for(task: asyncio.Task[None]) -> None:
        await task

    context = contextvars.copy_context()
    task = on_loop(thread, start)
    thread.submit(wait_for(task)).result(TIMEOUT_S)

    assert context[variable] == "changed"
    assert on_loop(thread, variable.get) == "-"
    assert seen == [("given", task), ("changed", task)]
    thread.release()
    assert has_ended(thread)


@pytest.mark.parametrize("loop_factory", FACTORIES.values(), ids=FACTORIES)
def test_a_task_that_finishes_in_its_first_step_is_done(
    loop_factory: Factory,
) -> None:
    thread = acquire_loop(loop_factory)

    async def return_at_once() -> None:
        pass

    async def fail() -> None:
        raise OSError("broken")

    def start() -> None:
        context = contextvars.copy_context()
        assert start_task(thread.loop, return_at_once(), context).done()
        failed = start_task(thread.loop, fail(), context)
        assert isinstance(failed.exception(), OSError)

    on_loop(thread, start)
    thread.release()
    assert has_ended(thread)
