"""A signal handler raises at random moments of calls into async code. Runs in its own process.

Prints how many calls were interrupted. If a call does not return, the process ends with the
traceback of every thread and exit code 1.
"""

from __future__ import annotations

import asyncio
import faulthandler
import random
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

import bridge

ROUNDS = 3000
DEADLINE_S = 100


class Interrupted(BaseException):
    """Raised by the handler, like KeyboardInterrupt or the exit of a server's worker."""


def interrupt(*_: object) -> None:
    raise Interrupted


async def nothing() -> None:
    await bridge.sync_to_async(int)(1)


async def numbers() -> AsyncIterator[int]:
    for number in range(3):
        await bridge.sync_to_async(int)(number)
        yield number


class Manager:
    async def __aenter__(self) -> None:
        await bridge.sync_to_async(int)(1)

    async def __aexit__(self, *exc_info: object) -> None:
        await asyncio.sleep(0)


def enter() -> None:
    with bridge.enter_in_loop(Manager()):
        bridge.async_to_sync(nothing)()


def iterate() -> None:
    for _ in bridge.iterate_in_loop(numbers(), window=1):
        bridge.async_to_sync(nothing)()


def main() -> None:
    faulthandler.dump_traceback_later(DEADLINE_S, exit=True)
    signal.signal(signal.SIGALRM, interrupt)
    sys.unraisablehook = lambda unraisable: None  # finalizers are interrupted, too
    calls: list[Any] = [enter, iterate, bridge.async_to_sync(nothing)]
    interrupted = 0
    for _ in range(ROUNDS):
        try:
            try:
                signal.setitimer(signal.ITIMER_REAL, random.random() * 0.001 + 1e-6)
                random.choice(calls)()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except Interrupted:
            interrupted += 1
    print(interrupted)


if __name__ == "__main__":
    main()
