"""The event loops that tests run on: asyncio's, and uvloop's where it is installed.

uvloop has no wheel for some builds of Python, such as the free-threaded one of 3.13.
"""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

import pytest

__all__ = ["FACTORIES", "RUNNERS", "interruptible"]

RUNNERS: dict[str, Callable[..., Any]] = {"asyncio": asyncio.run}
FACTORIES: dict[str, Callable[[], AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
try:
    import uvloop
except ImportError:
    pass
else:
    RUNNERS["uvloop"] = uvloop.run
    FACTORIES["uvloop"] = uvloop.new_event_loop


def interruptible(new_loop: Callable[[], AbstractEventLoop]) -> Callable[[], AbstractEventLoop]:
    """A factory of loops that pytest-timeout can end a hanging test on.

    Its signal handler raises. uvloop runs it as a callback, so it reports the error to the loop's
    exception handler and goes on; that handler cancels the tasks.
    """

    def factory() -> AbstractEventLoop:
        loop = new_loop()
        loop.set_exception_handler(_cancel_on_timeout)
        return loop

    return factory


def _cancel_on_timeout(loop: AbstractEventLoop, context: dict[str, Any]) -> None:
    loop.default_exception_handler(context)
    if isinstance(context.get("exception"), pytest.fail.Exception):
        for task in asyncio.all_tasks(loop):
            task.cancel()
