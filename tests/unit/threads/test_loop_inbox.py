"""The inbox of an event loop: one wakeup for many posts, on asyncio and uvloop loops."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest

from bridge._threads.loop_inbox import LoopInbox, inbox_of
from tests.harness.loops import RUNNERS

variable: ContextVar[int] = ContextVar("variable", default=0)


def test_many_posts_wake_the_loop_once() -> None:
    async def main() -> tuple[list[int], int]:
        inbox = inbox_of(asyncio.get_running_loop())
        seen: list[int] = []
        done = asyncio.Event()

        def post_all() -> None:
            for number in range(100):
                inbox.post(partial(seen.append, number))
            inbox.post(done.set)

        # The loop is in this callback, so it cannot run the posts before all are posted.
        thread = threading.Thread(target=post_all)
        thread.start()
        thread.join()
        await done.wait()
        return seen, inbox.wakeups

    seen, wakeups = asyncio.run(main())
    assert seen == list(range(100))
    assert wakeups == 1


def test_posts_from_many_threads_all_arrive() -> None:
    async def main() -> int:
        inbox = inbox_of(asyncio.get_running_loop())
        arrived = 0
        done = asyncio.Event()

        def count() -> None:
            nonlocal arrived
            arrived += 1
            if arrived == 8 * 500:
                done.set()

        def post() -> None:
            for _ in range(500):
                assert inbox.post(count)

        threads = [threading.Thread(target=post) for _ in range(8)]
        for thread in threads:
            thread.start()
        async with asyncio.timeout(30):
            await done.wait()
        for thread in threads:
            thread.join()
        return arrived

    assert asyncio.run(main()) == 4000


def test_a_callback_posted_by_a_callback_runs_in_a_later_iteration() -> None:
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        inbox = inbox_of(loop)
        seen: list[str] = []
        done = asyncio.Event()

        def first() -> None:
            seen.append("first")
            inbox.post(second)
            loop.call_soon(seen.append, "the loop's own")

        def second() -> None:
            seen.append("second")
            done.set()

        inbox.post(first)
        await done.wait()
        return seen

    assert asyncio.run(main())[0] == "first"
    assert set(asyncio.run(main())) == {"first", "second", "the loop's own"}


def test_an_exception_in_a_callback_is_logged_and_the_others_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        inbox = inbox_of(asyncio.get_running_loop())
        done = asyncio.Event()

        def fail() -> None:
            raise ValueError("no")

        inbox.post(fail)
        inbox.post(done.set)
        await done.wait()

    with caplog.at_level(logging.ERROR, "bridge.inbox"):
        asyncio.run(main())
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_a_post_to_a_closed_loop_returns_false() -> None:
    loop = asyncio.new_event_loop()
    inbox = inbox_of(loop)
    loop.close()
    assert inbox.post(lambda: None) is False
    assert inbox.post(lambda: None) is False


def test_an_inbox_does_not_keep_its_loop_alive() -> None:
    loop = asyncio.new_event_loop()
    inbox = inbox_of(loop)
    assert inbox_of(loop) is inbox
    loop.close()
    collected = weakref.ref(loop)
    del loop
    gc.collect()
    assert collected() is None
    assert inbox.post(lambda: None) is False


def test_an_exception_of_a_signal_handler_does_not_lose_a_wakeup(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wake_loop = LoopInbox._wake_loop
    interrupts = [KeyboardInterrupt()]

    def interrupted(inbox: LoopInbox) -> bool:
        if interrupts:
            raise interrupts.pop()
        return wake_loop(inbox)

    async def main() -> list[str]:
        inbox = inbox_of(asyncio.get_running_loop())
        seen: list[str] = []
        done = asyncio.Event()
        with pytest.raises(KeyboardInterrupt):
            inbox.post(partial(seen.append, "first"))
        inbox.post(done.set)
        async with asyncio.timeout(30):
            await done.wait()
        return seen

    monkeypatch.setattr(LoopInbox, "_wake_loop", interrupted)
    assert asyncio.run(main()) == ["first"]


# -- the eventfd -----------------------------------------------------------------------------------


async def post_from_threads(inbox: LoopInbox, posts: int) -> int:
    """Post from one thread after another. Returns the number of callbacks that ran."""
    ran = 0
    seen = asyncio.Event()

    def callback() -> None:
        nonlocal ran
        ran += 1
        seen.set()

    for _ in range(posts):
        thread = threading.Thread(target=inbox.post, args=(callback,))
        thread.start()
        thread.join()
        async with asyncio.timeout(30):
            await seen.wait()
        seen.clear()
    return ran


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
def test_every_callback_posted_by_a_thread_runs(run: Callable[..., Any]) -> None:
    async def main() -> tuple[int, int]:
        inbox = inbox_of(asyncio.get_running_loop())
        return await post_from_threads(inbox, 20), inbox.wakeups

    assert run(main()) == (20, 20)


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
def test_callbacks_run_in_an_empty_context(run: Callable[..., Any]) -> None:
    """The loop would keep the context of the first post for all later callbacks."""

    async def main() -> list[int]:
        inbox = inbox_of(asyncio.get_running_loop())
        seen: list[int] = []

        def post() -> None:
            variable.set(7)
            inbox.post(lambda: seen.append(variable.get()))

        for number in range(2):
            await asyncio.to_thread(post)
            async with asyncio.timeout(30):
                while len(seen) <= number:
                    await asyncio.sleep(0)
        return seen

    assert run(main()) == [0, 0]


SETUP = """
import asyncio, gc, os
from bridge._threads.loop_inbox import inbox_of
from tests.harness.loops import RUNNERS

async def main():
    inbox = inbox_of(asyncio.get_running_loop())
    for _ in range(5):
        posted = asyncio.Event()
        await asyncio.to_thread(inbox.post, posted.set)
        async with asyncio.timeout(30):
            await posted.wait()

def show():
    print(len(os.listdir("/proc/self/fd")))
"""
FIVE_LOOPS = """
run = RUNNERS["{runner}"]
run(main())
gc.collect()
gc.disable()
show()
for _ in range(5):
    run(main())
{end}
show()
"""
LOOP_WITHOUT_ADD_READER = """
class Loop(asyncio.SelectorEventLoop):
    def add_reader(self, *_):
        raise NotImplementedError

loop = Loop()
show()
loop.run_until_complete(main())
show()
loop.close()
"""


def shown(code: str) -> list[int]:
    """The numbers of open descriptors that ``code`` shows, in a process of its own: threads of
    other tests open and close some here.
    """
    command = [sys.executable, "-c", SETUP + code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return [int(line) for line in done.stdout.split()]


@pytest.mark.skipif(not hasattr(os, "eventfd"), reason="Linux only")
@pytest.mark.parametrize("runner", RUNNERS)
def test_closed_loops_leave_no_descriptor_open(runner: str) -> None:
    before, after = shown(FIVE_LOOPS.format(runner=runner, end="gc.collect()"))

    assert after == before


def test_asyncio_loops_close_their_descriptor_without_garbage_collection() -> None:
    before, after = shown(FIVE_LOOPS.format(runner="asyncio", end=""))

    assert after == before


def test_a_loop_without_add_reader_is_woken() -> None:
    before, after = shown(LOOP_WITHOUT_ADD_READER)

    assert after == before


def test_a_platform_without_eventfd_uses_call_soon_threadsafe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "eventfd", raising=False)

    async def main() -> int:
        return await post_from_threads(inbox_of(asyncio.get_running_loop()), 5)

    assert asyncio.run(main()) == 5


def test_a_post_after_the_loop_has_closed_returns_false() -> None:
    loop = asyncio.new_event_loop()
    inbox = inbox_of(loop)
    loop.run_until_complete(post_from_threads(inbox, 1))
    loop.close()

    assert inbox.post(lambda: None) is False
