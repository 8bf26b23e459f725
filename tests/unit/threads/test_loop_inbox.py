"""The loop's mailbox: woken once for many posts, never leaving one behind."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref
from collections.abc import Callable
from functools import partial

import pytest

from bridge._threads.doorbell import Doorbell
from bridge._threads.loop_inbox import inbox_of


def test_many_posts_wake_the_loop_once() -> None:
    async def main() -> tuple[list[int], int]:
        inbox = inbox_of(asyncio.get_running_loop())
        seen: list[int] = []
        done = asyncio.Event()

        def post_all() -> None:
            for number in range(100):
                inbox.post(partial(seen.append, number))
            inbox.post(done.set)

        # The loop is inside this very callback, so it cannot drain before all are posted.
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


def test_a_post_made_by_a_callback_runs_in_a_later_turn() -> None:
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


def test_a_failing_callback_is_logged_and_the_others_run(
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


def test_a_closed_loop_takes_no_post() -> None:
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
    gone = weakref.ref(loop)
    del loop
    gc.collect()
    assert gone() is None
    assert inbox.post(lambda: None) is False


def test_a_signal_handler_that_raises_before_the_bell_rings_leaves_nothing_asleep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ring = Doorbell.ring
    interrupts = [KeyboardInterrupt()]

    def interrupted(bell: Doorbell, answer: Callable[[], object]) -> bool:
        if interrupts:
            raise interrupts.pop()
        return ring(bell, answer)

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

    monkeypatch.setattr(Doorbell, "ring", interrupted)
    assert asyncio.run(main()) == ["first"]
