"""The doorbell: one answer for many rings, on every kind of loop, leaving nothing open."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest
import uvloop

from bridge._threads.doorbell import Doorbell
from bridge._threads.loop_inbox import inbox_of

DEADLINE_S = 30
variable: ContextVar[int] = ContextVar("variable", default=0)
RUNNERS: list[Callable[..., Any]] = [asyncio.run, uvloop.run]


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


async def ring_from_a_thread(bell: Doorbell, rings: int) -> int:
    """How often the bell was answered."""
    answered = 0
    seen = asyncio.Event()

    def answer() -> None:
        nonlocal answered
        answered += 1
        seen.set()

    for _ in range(rings):
        thread = threading.Thread(target=bell.ring, args=(answer,))
        thread.start()
        thread.join()
        seen.clear()
        async with asyncio.timeout(DEADLINE_S):
            await seen.wait()
    return answered


@pytest.mark.parametrize("run", RUNNERS)
def test_each_ring_is_answered(run: Callable[..., Any]) -> None:
    async def main() -> int:
        return await ring_from_a_thread(Doorbell(asyncio.get_running_loop()), 20)

    assert run(main()) == 20


@pytest.mark.parametrize("run", RUNNERS)
def test_it_is_answered_in_nobodys_context(run: Callable[..., Any]) -> None:
    """The first ring's would be kept for ever, and every other's answer would run in it."""

    async def main() -> list[int]:
        bell = Doorbell(asyncio.get_running_loop())
        seen: list[int] = []

        def ring() -> None:
            variable.set(7)
            bell.ring(lambda: seen.append(variable.get()))

        for number in range(2):
            await asyncio.to_thread(ring)
            async with asyncio.timeout(DEADLINE_S):
                while len(seen) <= number:
                    await asyncio.sleep(0)
        return seen

    assert run(main()) == [0, 0]


@pytest.mark.parametrize("run", RUNNERS)
def test_many_rings_in_one_turn_may_have_one_answer(run: Callable[..., Any]) -> None:
    async def main() -> int:
        bell = Doorbell(asyncio.get_running_loop())
        answers: list[int] = []

        def answer() -> None:
            answers.append(1)

        for _ in range(2):  # the first time it is put up, the second time it is there
            before = len(answers)
            for _ in range(100):
                assert bell.ring(answer)
            while len(answers) == before:
                await asyncio.sleep(0)
        return len(answers) - before

    assert run(main()) == 1


@pytest.mark.skipif(not hasattr(os, "eventfd"), reason="Linux only")
@pytest.mark.parametrize("run", RUNNERS)
def test_loops_leave_no_descriptor_behind(run: Callable[..., Any]) -> None:
    async def main() -> None:
        inbox = inbox_of(asyncio.get_running_loop())
        for _ in range(3):
            posted = asyncio.Event()
            await asyncio.to_thread(inbox.post, posted.set)
            await posted.wait()

    run(main())
    gc.collect()
    before = open_descriptors()
    for _ in range(5):
        run(main())
    gc.collect()

    assert len(open_descriptors()) <= len(before)


def test_asyncio_loops_need_no_garbage_collection_for_that() -> None:
    async def main() -> None:
        posted = asyncio.Event()
        inbox_of(asyncio.get_running_loop()).post(posted.set)
        await posted.wait()

    asyncio.run(main())
    gc.collect()
    gc.disable()
    try:
        before = open_descriptors()
        for _ in range(5):
            asyncio.run(main())
        assert len(open_descriptors()) <= len(before)
    finally:
        gc.enable()


def test_a_loop_that_watches_no_descriptors_is_woken_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def watch_nothing(*_: Any) -> None:
        raise NotImplementedError

    loop = asyncio.new_event_loop()
    monkeypatch.setattr(loop, "add_reader", watch_nothing)
    bell = Doorbell(loop)
    before = open_descriptors()
    try:
        assert loop.run_until_complete(ring_from_a_thread(bell, 5)) == 5
        assert open_descriptors() <= before  # one of an earlier test's may be closed meanwhile
    finally:
        loop.close()


def test_without_eventfd_it_is_call_soon_threadsafe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "eventfd", raising=False)

    async def main() -> int:
        return await ring_from_a_thread(Doorbell(asyncio.get_running_loop()), 5)

    assert asyncio.run(main()) == 5


def test_nobody_answers_at_a_closed_loop() -> None:
    loop = asyncio.new_event_loop()
    bell = Doorbell(loop)
    loop.run_until_complete(ring_from_a_thread(bell, 1))
    loop.close()

    assert bell.ring(lambda: None) is False
