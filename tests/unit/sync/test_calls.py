"""A call restores the state of its thread, even if a signal handler raises while it runs."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest

from bridge._threads.asgiref_state import this_thread
from bridge.sync.calls import Call

DEADLINE_S = 30
MOMENTS = 60
"""More than a call has, so the last ones do not interrupt it."""


class Interrupted(BaseException):
    """Raised by the handler, like KeyboardInterrupt or the exit of a server's worker."""


class Interrupter:
    """A profiler that raises at the n-th moment at which the interpreter runs signal handlers.

    Those are the first instruction of a Python function and the return of a C function.
    """

    def __init__(self, moment: int) -> None:
        self.moments = iter(range(moment))

    def __call__(self, frame: FrameType, event: str, arg: object) -> None:
        if event in ("call", "c_return") and next(self.moments, None) is None:
            sys.setprofile(None)
            raise Interrupted


def run_interrupted(call: Call, moment: int) -> dict[str, Any]:
    """The state of the thread afterwards."""
    with suppress(Interrupted):
        try:
            sys.setprofile(Interrupter(moment))
            call.run()
        finally:
            sys.setprofile(None)
    return dict(this_thread.__dict__)


@pytest.fixture
def no_finalizers() -> Iterator[None]:
    """What other tests have left is not collected, and its finalizers interrupted, meanwhile."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_finalizers")
def test_an_interrupted_call_leaves_nothing_on_its_thread() -> None:
    loop = asyncio.new_event_loop()
    calls = [Call(abs, (-1,), {}, None, loop) for _ in range(MOMENTS)]
    with ThreadPoolExecutor(1) as new_thread:
        states = [
            new_thread.submit(run_interrupted, call, moment).result(DEADLINE_S)
            for moment, call in enumerate(calls)
        ]
    loop.close()

    assert states == [{}] * MOMENTS
    assert calls[-1].ended
