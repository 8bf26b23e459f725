"""A coroutine test that hangs is ended by pytest-timeout, on each loop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from types import FrameType

import pytest

from tests.harness.loops import FACTORIES, interruptible


@pytest.mark.timeout(method="thread")  # the test needs SIGALRM itself
@pytest.mark.parametrize("factory", FACTORIES.values(), ids=FACTORIES)
def test_a_signal_handler_that_fails_the_test_ends_its_coroutine(
    factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    def fail(number: int, frame: FrameType | None) -> None:
        pytest.fail("took too long")

    async def hang() -> None:
        asyncio.get_running_loop().call_soon(signal.setitimer, signal.ITIMER_REAL, 0.001)
        await asyncio.Event().wait()

    before = signal.signal(signal.SIGALRM, fail)
    try:
        fails = pytest.raises((asyncio.CancelledError, pytest.fail.Exception))
        with asyncio.Runner(loop_factory=interruptible(factory)) as runner, fails:
            runner.run(hang())
    finally:
        signal.signal(signal.SIGALRM, before)
