"""Tasks of bridge do not use the loop's task factory, which is the app's and may raise."""

from __future__ import annotations

import asyncio
import threading
from asyncio import AbstractEventLoop
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextvars import ContextVar

import pytest

from bridge._threads.own_tasks import own_task, run_threadsafe
from tests.harness.asgi import raising_task_factory

TIMEOUT_S = 15
variable: ContextVar[str] = ContextVar("variable", default="unset")


@pytest.fixture
def loop() -> Iterator[AbstractEventLoop]:
    """A running loop whose task factory raises."""
    loop = asyncio.new_event_loop()
    loop.set_task_factory(raising_task_factory)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join(TIMEOUT_S)
    loop.close()


def test_a_task_runs_on_the_loop(loop: AbstractEventLoop) -> None:
    async def value() -> tuple[AbstractEventLoop, str]:
        return asyncio.get_running_loop(), variable.get()

    variable.set("of the caller")
    assert run_threadsafe(value(), loop).result(TIMEOUT_S) == (loop, "unset")


def test_its_exception_is_the_outcome(loop: AbstractEventLoop) -> None:
    async def fail() -> None:
        raise OSError("no database")

    with pytest.raises(OSError, match="no database"):
        run_threadsafe(fail(), loop).result(TIMEOUT_S)


def test_cancelling_the_outcome_cancels_the_task(loop: AbstractEventLoop) -> None:
    waiting, cancelled = threading.Event(), threading.Event()

    async def wait() -> None:
        waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    outcome = run_threadsafe(wait(), loop)
    assert waiting.wait(TIMEOUT_S)
    assert outcome.cancel()
    assert cancelled.wait(TIMEOUT_S)


def test_a_task_that_cancels_itself_cancels_the_outcome(loop: AbstractEventLoop) -> None:
    async def cancel() -> None:
        raise asyncio.CancelledError

    with pytest.raises(CancelledError):
        run_threadsafe(cancel(), loop).result(TIMEOUT_S)


async def test_a_task_of_the_running_loop_has_its_name() -> None:
    async def name() -> str:
        task = asyncio.current_task()
        assert task is not None
        return task.get_name()

    loop = asyncio.get_running_loop()
    loop.set_task_factory(raising_task_factory)
    try:
        assert await own_task(name(), loop, name="bridge-test") == "bridge-test"
    finally:
        loop.set_task_factory(None)
